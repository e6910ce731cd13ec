"""What the broker retains of ours: the parts on offer, and nothing of what was on offer once.

The journal knows of every part before the broker does, in every life of the aggregator, and forgets it only when the
broker has confirmed that it is cleared.
"""

from collections.abc import Iterable

from fedfin.link import mqtt
from fedfin.protocol import transfer
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.messages.message import encode
from fedfin.protocol.messages.transfers import Chunk
from fedfin.protocol.rounds.effects import PublishPart
from fedfin.protocol.topics import Topics
from fedfin_aggregator.store.journal import Journal

Key = tuple[PartKind, int]


class Retained:
    """Publishes and clears retained chunks."""

    def __init__(self, link: mqtt.Link, topics: Topics, journal: Journal) -> None:
        self._link, self._topics, self._journal = link, topics, journal
        self._parts: dict[Key, PublishPart] = {}
        self._clearing: dict[int, Key] = {}  # by the token of each empty message under way

    def put(self, part: PublishPart) -> None:
        """Publish a part, which is on offer from now on."""
        payload, chunks = part.payload, part.outline.chunks
        self._parts[payload.kind, payload.version] = part
        self._journal.versions.retain(payload.kind, payload.version, len(chunks))
        for index in range(len(chunks)):
            chunk = transfer.chunk(payload.data, part.outline, index)
            self._publish(payload.kind, payload.version, index, encode(chunk))

    def chunk(self, key: Key, index: int) -> Chunk | None:
        """A chunk of a part that is on offer; None when it is not any more."""
        part = self._parts.get(key)
        return None if part is None else transfer.chunk(part.payload.data, part.outline, index)

    def keep_only(self, listed: Iterable[Key]) -> None:
        """These are on offer and no others."""
        wanted = set(listed)
        self._parts = {key: part for key, part in self._parts.items() if key in wanted}
        self.clear_others()

    def clear_others(self) -> None:
        """Clear what is not on offer, also what was in an earlier life."""
        for key, count in self._journal.versions.retained().items():
            if key not in self._parts and key not in self._clearing.values():
                for index in range(count):  # an empty retained message clears the topic
                    self._clearing[self._publish(*key, index, b"")] = key

    def publish_again(self) -> None:
        """All of it, to a broker that may have lost its memory, or what we sent it."""
        self._clearing.clear()
        for part in list(self._parts.values()):
            self.put(part)

    def taken(self, token: int) -> None:
        """The broker has a message."""
        key = self._clearing.pop(token, None)
        if key is not None and key not in self._clearing.values():
            self._journal.versions.cleared(*key)

    def _publish(self, kind: PartKind, version: int, index: int, data: bytes) -> int:
        return self._link.publish(self._topics.chunk(kind, version, index), data, retain=True)
