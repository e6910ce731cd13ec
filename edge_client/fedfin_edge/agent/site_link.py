"""The link of one site: messages out and in, on its own topics, signed and sealed where there are keys."""

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from fedfin import limits
from fedfin.link import mqtt
from fedfin.protocol.messages.channels import DownControl
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message, decode, encode
from fedfin.protocol.messages.presence import AggregatorState, SiteState
from fedfin.protocol.messages.transfers import Chunk
from fedfin.protocol.topics import Topics
from fedfin.trust.channel import SiteEnd
from fedfin_edge.site import Site

FromAggregator = RoundManifest | AggregatorState | DownControl | Chunk


class SiteLink:
    """`boot`: which start of this site; `events`: where the link's go; `done`: whether the site will not come back."""

    def __init__(
        self, site: Site, channel: SiteEnd, boot: str, events: SimpleQueue[Any], done: Callable[[], bool]
    ) -> None:
        settings = site.settings
        self._name, self._boot, self._channel, self._done = settings.site, boot, channel, done
        self._topics = Topics(settings.federation)
        self._chunks: set[int] = set()  # tokens of those that the broker has not taken
        self._link = mqtt.Link(
            settings.broker,
            f"fedfin-{settings.federation}-{settings.site}",
            will=(self._topic("up/state"), lambda: self._state(online=False)),
            tls=site.tls,
            login=site.login,
            proxy=site.proxy,
            events=events,
        )

    @property
    def traffic(self) -> mqtt.Traffic:
        """What has travelled so far."""
        return self._link.traffic

    def start(self) -> None:
        """Begin to connect; the outcome is an event."""
        self._link.start()

    def stop(self) -> None:
        """Say that the site leaves, and disconnect."""
        self._link.stop((self._topic("up/state"), self._state(online=False)))

    def up(self) -> None:
        """It is connected: ask for all that is for this site, and say that it is here."""
        own = (self._topic("dn/ctl"), self._topic("dn/chunk"))
        self._link.subscribe(
            *own, self._topics.manifest, self._topics.aggregator_state, *self._channel.topics
        )
        self._link.publish(self._topic("up/state"), self._state(online=True), retain=True)

    def down(self) -> None:
        """It is cut: nothing of before is answered any more."""
        self._chunks.clear()

    def follow(self, *chunks: Any) -> None:
        """Ask for retained chunks of parts of the model."""
        self._link.subscribe(*map(self._chunk_topic, chunks))

    def unfollow(self, *chunks: Any) -> None:
        """No more."""
        self._link.unsubscribe(*map(self._chunk_topic, chunks))

    def _chunk_topic(self, chunk: Any) -> str:
        """Of a Follow or an Unfollow."""
        return self._topics.chunk(chunk.kind, chunk.version, chunk.index)

    def send(self, message: Message, channel: str = "up/ctl") -> None:
        """Publish on one of the site's own up channels. While the link is down it is dropped."""
        topic = self._topic(channel)
        token = self._link.publish(topic, self._channel.send(topic, encode(message), private=message.private))
        if channel == "up/chunk":
            self._chunks.add(token)

    def is_chunk(self, token: int) -> bool:
        """Whether what the broker has taken was a chunk; asked once for each."""
        known = token in self._chunks
        self._chunks.discard(token)
        return known

    def is_answer(self, topic: str) -> bool:
        """Whether what comes on it was said to this site alone."""
        return topic == self._topic("dn/ctl")

    def open(self, topic: str, payload: bytes) -> bytes:
        """A message's bytes, if they are from whom they must be from. Raises ProtocolError."""
        return self._channel.receive(topic, payload)

    def decode(self, topic: str, data: bytes) -> FromAggregator:
        """The message that may come on this topic. Raises ProtocolError."""
        kinds = {
            self._topics.manifest: RoundManifest,
            self._topics.aggregator_state: AggregatorState,
            self._topic("dn/ctl"): DownControl,
        }
        kind = kinds.get(topic, Chunk)
        limit = limits.MOST_PACKET_BYTES if kind is Chunk else limits.CONTROL_BYTES
        message: FromAggregator = decode(data, kind, limit=limit)
        return message

    def _topic(self, channel: str) -> str:
        return self._topics.site(self._name, channel)

    def _state(self, *, online: bool) -> bytes:
        state = SiteState(online=online, boot=self._boot, done=self._done())
        return self._channel.send(self._topic("up/state"), encode(state))
