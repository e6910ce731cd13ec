"""The parts of a model that are on offer at the broker, as they were cut into chunks."""

from collections.abc import Iterable

from fedfin.protocol import transfer
from fedfin.protocol.messages.manifest import Part, PartKind, Want
from fedfin.protocol.messages.transfers import Outline
from fedfin.protocol.rounds.effects import ClearParts, PublishPart
from fedfin.protocol.rounds.events import Payload


class PublishedParts:
    """Of one aggregator. `chunk_size`: the most that a chunk holds."""

    def __init__(self, chunk_size: int) -> None:
        self._chunk_size = chunk_size
        self._outlines: dict[tuple[PartKind, int], Outline] = {}

    def publish(self, payloads: Iterable[Payload], room: int) -> list[PublishPart]:
        """Those that are new; what is not among them is forgotten. `room`: for data, in one packet of the broker."""
        former, self._outlines = self._outlines, {}
        new: list[PublishPart] = []
        for payload in payloads:
            key = payload.kind, payload.version
            if key not in former:
                outline = transfer.outline(payload.data, min(self._chunk_size, room), payload.leaves)
                new.append(PublishPart(payload, outline))
            self._outlines[key] = former[key] if key in former else new[-1].outline
        return new

    def clear_others(self) -> ClearParts:
        """What the broker keeps of parts that are not on offer any more."""
        return ClearParts(tuple(self._outlines))

    def listed(self) -> tuple[Part, ...]:
        """As a manifest lists them, in the order in which they were published: the snapshot first."""
        return tuple(
            Part(version=version, outline=outline) for (_, version), outline in self._outlines.items()
        )

    def missing(self, want: Want) -> tuple[int, ...] | None:
        """The chunks that a site lacks; None where the part is not on offer. Raises ProtocolError."""
        outline = self._outlines.get((want.part, want.version))
        return None if outline is None else tuple(transfer.indices(want.bitmap, len(outline.chunks)))
