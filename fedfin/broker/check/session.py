"""One connection over which probes ask, each question with its answer."""

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from fedfin.broker.check.target import Target
from fedfin.errors import LinkError
from fedfin.link import mqtt
from fedfin.link.link_events import Arrived, Broken, Down, LinkEvent, Taken, Up

ANSWER_S = 20.0
TOPIC_OF_NONE = "fedfin/1"  # for the last will of a client that may write nowhere


class Session:
    """A context: what may be left retained on `target`'s own topic is cleared at its end, also if it is killed.

    That is what its last will says: nothing, retained. Raises LinkError when the broker does not let us in.
    """

    def __init__(self, target: Target, client_id: str) -> None:
        own = target.topics.check(target.name) if target.topics and target.name else TOPIC_OF_NONE
        self._clear = (own, b"")
        will = own, bytes
        self._link = mqtt.Link(
            target.url, client_id, will=will, tls=target.tls, login=target.login, proxy=target.proxy
        )
        self._arrived: list[Arrived] = []  # what came while another answer was waited for
        self.topic, self.packet = own, target.broker.packet

    def __enter__(self) -> "Session":
        self._link.start()
        try:
            first = self._next(ANSWER_S)
            assert isinstance(first, Up)
        except queue.Empty:
            self._link.stop()
            raise LinkError(f"who listens there does not answer within {ANSWER_S:.0f} s") from None
        except LinkError:
            self._link.stop()
            raise
        self.announced, self.chunk_bytes = first.announced, first.chunk_size
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._link.stop(self._clear if self.topic != TOPIC_OF_NONE else None)

    def publish(self, topic: str, payload: bytes = b"", *, retain: bool = False) -> str | None:
        """What the broker says: None, or why not. Raises LinkError when it ends the connection."""
        token = self._link.publish(topic, payload, retain=retain)
        for event in self._events(ANSWER_S):
            if isinstance(event, Taken) and event.token == token:
                return event.refused
        raise LinkError(f"no answer to a message of {len(payload)} bytes within {ANSWER_S:.0f} s")

    def subscribe(self, topic: str) -> str | None:
        """Why it is refused; None: it was not within the time of a question that came after it."""
        self._link.subscribe(topic)
        token = self._link.publish(self.topic, b"")
        for event in self._events(ANSWER_S):
            if isinstance(event, Taken) and event.token == token:
                return None
            if isinstance(event, Taken) and event.refused:
                return event.refused
        return None

    def unsubscribe(self, topic: str) -> None:
        """No answer is waited for."""
        self._link.unsubscribe(topic)

    def arrives(self, payload: bytes, seconds: float) -> bool:
        """Whether this comes within the time, or came already."""
        return self._wait(seconds, lambda: any(payload == each.payload for each in self._arrived))

    def came_on(self, topics: list[str], seconds: float) -> list[str]:
        """On which of them something comes within the time, or came already; whatever it is."""
        came: set[str] = set()

        def all_came() -> bool:
            came.update(each.topic for each in self._arrived)
            return came.issuperset(topics)

        self._wait(seconds, all_came)
        return [topic for topic in topics if topic in came]

    def send_many(self, payload: bytes, count: int, window: int, seconds: float) -> int:
        """Up to `count` messages, `window` under way, for up to `seconds`; how many the broker took."""
        started, sent, taken = time.monotonic(), 0, 0
        while taken < count and time.monotonic() - started < seconds:
            while sent < count and sent - taken < window:
                self._link.publish(self.topic, payload)
                sent += 1
            taken += any(isinstance(event, Taken) for event in self._one(1.0))
        return taken

    def ended(self, seconds: float) -> bool:
        """Whether the broker ends the connection within this time."""
        try:
            for _ in self._events(seconds):
                pass
        except LinkError:
            return True
        return False

    def _wait(self, seconds: float, done: Callable[[], bool]) -> bool:
        """Whether what has arrived is enough within the time; then it is forgotten."""
        events = self._events(seconds)
        while not (enough := done()) and next(events, None) is not None:
            pass
        self._arrived.clear()
        return enough

    def _events(self, seconds: float) -> Iterator[LinkEvent]:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            yield from self._one(left)

    def _one(self, seconds: float) -> Iterator[LinkEvent]:
        with contextlib.suppress(queue.Empty):
            yield self._next(seconds)

    def _next(self, seconds: float) -> LinkEvent:
        event: LinkEvent = self._link.events.get(timeout=seconds)
        if isinstance(event, Down):
            raise LinkError(event.reason)
        if isinstance(event, Broken):
            raise LinkError(event.error)
        if isinstance(event, Arrived):
            self._arrived.append(event)
        return event
