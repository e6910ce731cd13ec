"""A make-believe MQTT broker and the links to it: retained messages, wills, sessions, and every way to lose them."""

import functools
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import TYPE_CHECKING, Any

from fedfin import limits
from fedfin.errors import LinkError
from fedfin.link import link_events, mqtt

if TYPE_CHECKING:
    from simulation.processes import Process
    from simulation.world import World

CHUNK = 1024
MAX_PACKET = 2 * CHUNK + limits.PACKET_OVERHEAD_BYTES  # holds the keys of twelve sites in one sum


class Queue:
    """queue.SimpleQueue for one thread: it never waits."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: Any) -> None:
        """Append."""
        self._items.append(item)

    def get(self, timeout: float | None = None) -> Any:
        """The oldest item. Raises Empty."""
        if not self._items:
            raise Empty
        return self._items.popleft()

    get_nowait = get


class Link:
    """What mqtt.Link is to the shells. A crash of its process may strike at every publish."""

    def __init__(
        self,
        world: "World",
        client_id: str,
        *,
        will: tuple[str, Callable[[], bytes]],
        events: Queue | None = None,
        tls: None = None,
        login: None = None,
        proxy: None = None,
    ) -> None:
        assert world.current is not None
        self.owner: Process = world.current
        self._world, self.client_id, self._will = world, client_id, will
        self.events = Queue() if events is None else events
        self.traffic = mqtt.Traffic()
        self._topics: set[str] = set()  # subscribed to
        self._patterns: set[str] = set()  # with a +
        self.online = False
        self.line = 0  # counts connections: what travels belongs to one
        self._dead = False
        self._tokens = 0
        self._latest = [0.0, 0.0]  # when the last message up, down arrives

    def start(self) -> None:
        """Begin to connect."""
        self._world.clock.after(self._world.rng.uniform(0.05, 5.0), self._connect)

    def stop(self, last_words: tuple[str, bytes] | None = None) -> None:
        """A clean end."""
        if self.online and last_words is not None:
            self._world.broker.receive(self.owner, *last_words, retain=True)
        self.kill()
        self._world.broker.forget_will(self)

    def kill(self) -> None:
        """The process is gone: the socket closes, nothing is heard any more."""
        self.drop_line()
        self._dead = True

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """As mqtt.Link.publish; the broker acknowledges also what it then loses."""
        self._world.crash_point()
        if len(topic) + len(payload) + 16 > MAX_PACKET:
            raise LinkError(f"{topic}: {len(payload)} bytes exceed the broker's maximum packet")
        self._world.watch.may_write(self.client_id, topic)
        if not self.online:
            return -1
        self._tokens += 1
        token, broker = self._tokens, self._world.broker
        self.travel(0, lambda: broker.receive(self.owner, topic, payload, retain=retain))
        self.travel(1, lambda: self.hear(link_events.Taken(token, None)), sure=True)
        return token

    def subscribe(self, *topics: str) -> None:
        """The broker sends what it retains, then what comes."""
        self._world.crash_point()
        for topic in topics:
            self.travel(0, functools.partial(self._world.broker.subscribe, self, topic), sure=True)

    def unsubscribe(self, *topics: str) -> None:
        """No more of these."""
        self._topics.difference_update(topics)
        self._patterns.difference_update(topics)

    def subscribed(self, topic: str) -> None:
        """The broker has the subscription."""
        (self._patterns if "+" in topic else self._topics).add(topic)

    def wants(self, topic: str) -> bool:
        """Whether it has subscribed to this."""
        return topic in self._topics or any(matches(pattern, topic) for pattern in self._patterns)

    def travel(self, way: int, arrive: Callable[[], None], *, sure: bool = False) -> None:
        """One message up (0) or down (1): late, lost, repeated, overtaken; gone when the line breaks meanwhile."""
        world, faults, line = self._world, self._world.faults, self.line
        if not self.online or (not sure and world.rng.random() < faults.drop):
            return
        again = not sure and world.rng.random() < faults.repeat
        for _ in range(2 if again else 1):
            moment = world.clock.now + world.rng.uniform(0.0, faults.delay)
            if faults.ordered or sure:
                moment = self._latest[way] = max(self._latest[way], moment)
            world.clock.after(moment - world.clock.now, lambda: arrive() if line == self.line else None)

    def hear(self, event: link_events.LinkEvent) -> None:
        """An event for the owner."""
        if not self._dead:
            if isinstance(event, link_events.Arrived):
                self._world.watch.arrived(self.owner, event.topic, event.payload)
            self.events.put(event)
            self.owner.wake()

    def drop_line(self) -> None:
        """The connection breaks; the broker will say the last will."""
        if self.online:
            self._world.broker.detach(self)
            self.line, self.online = self.line + 1, False
            self._topics.clear()
            self._patterns.clear()
            self.hear(link_events.Down("cut"))
            self._world.clock.after(self._world.rng.uniform(0.1, 10.0), self._connect)

    def _connect(self) -> None:
        if self._dead or self.online:
            return
        if not self._world.broker.up:
            self._world.clock.after(self._world.rng.uniform(0.1, 10.0), self._connect)
            return
        self._latest = [self._world.clock.now] * 2
        self.will = self._will[0], self._will[1]()
        self._world.broker.attach(self)
        self.online = True
        self.hear(link_events.Up(CHUNK))


class Broker:
    """Retained messages, subscribers and wills."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.up = True
        self.retained: dict[str, bytes] = {}
        self._saved: dict[str, bytes] = {}  # what is on its disk
        self._links: dict[str, Link] = {}
        self._wills: dict[str, Link] = {}  # of lines that broke, not yet said
        world.clock.after(30.0, self._save)

    def attach(self, link: Link) -> None:
        """A client connects; an earlier connection of its id, if any, is over, and its will is said first."""
        if (earlier := self._links.get(link.client_id)) is not None:
            self._world.happens("link taken over", earlier.owner.name)
            earlier.drop_line()
        self._say_will(link.client_id)
        self._links[link.client_id] = link

    def detach(self, link: Link) -> None:
        """A connection broke: the broker notices some time later."""
        self._links.pop(link.client_id, None)
        self._wills[link.client_id] = link
        self._world.clock.after(self._world.rng.uniform(0.0, 5.0), lambda: self._say_will(link.client_id))

    def forget_will(self, link: Link) -> None:
        """It left in an orderly way."""
        if self._wills.get(link.client_id) is link:
            del self._wills[link.client_id]

    def subscribe(self, link: Link, topic: str) -> None:
        """A filter is added; what is retained under it goes out."""
        link.subscribed(topic)
        for name, payload in list(self.retained.items()):
            if matches(topic, name):
                self._send(link, name, payload)

    def receive(self, sender: "Process", topic: str, payload: bytes, *, retain: bool) -> None:
        """A publish reached the broker."""
        if self._world.misfortune(self._world.faults.broker):
            self._crash()
            return
        self._world.watch.published(sender, topic, payload)
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        for link in list(self._links.values()):
            if link.wants(topic):
                self._send(link, topic, payload)

    def _send(self, link: Link, topic: str, payload: bytes) -> None:
        def arrive() -> None:
            link.hear(link_events.Arrived(topic, payload))
            if self._world.misfortune(self._world.faults.cut):
                self._world.happens("link cut", link.client_id)
                link.drop_line()

        link.travel(1, arrive)

    def _say_will(self, client_id: str) -> None:
        link = self._wills.pop(client_id, None)
        if link is not None and self.up:
            self.receive(link.owner, *link.will, retain=True)

    def _save(self) -> None:
        self._saved = dict(self.retained)
        self._world.clock.after(self._world.rng.uniform(5.0, 60.0), self._save)

    def _crash(self) -> None:
        """SIGKILL: what was under way is lost, and so are wills; what is retained is as old as the last save."""
        self.up = False
        self._world.happens("broker killed", "broker")
        self.retained = dict(self._saved) if self._world.faults.persistent else {}
        for link in list(self._links.values()):
            link.drop_line()
        self._wills.clear()
        self._world.clock.after(self._world.rng.uniform(0.5, 20.0), self._start)

    def _start(self) -> None:
        self.up = True


@functools.lru_cache(maxsize=65_536)
def matches(pattern: str, topic: str) -> bool:
    """MQTT's topic filters with +."""
    ours, theirs = pattern.split("/"), topic.split("/")
    return len(ours) == len(theirs) and all(o in ("+", t) for o, t in zip(ours, theirs, strict=True))
