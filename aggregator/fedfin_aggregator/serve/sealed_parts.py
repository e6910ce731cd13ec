"""The parts of the model as they are published: sealed once, so that who has begun to fetch one can go on."""

from collections.abc import Iterable

from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.rounds.events import Payload
from fedfin.trust.channel import AggregatorEnd


class SealedParts:
    """Those that are on offer now."""

    def __init__(self, channel: AggregatorEnd) -> None:
        self._channel = channel
        self._sealed: dict[tuple[PartKind, int], Payload] = {}

    def of(self, parts: Iterable[Payload]) -> tuple[Payload, ...]:
        """These, sealed; others are forgotten."""
        former, self._sealed = self._sealed, {}
        for part in parts:
            key = part.kind, part.version
            self._sealed[key] = former[key] if key in former else self._seal(part)
        return tuple(self._sealed.values())

    def _seal(self, part: Payload) -> Payload:
        data = self._channel.seal_part(part.kind, part.version, part.data)
        return part if data is part.data else Payload(part.kind, part.version, data)
