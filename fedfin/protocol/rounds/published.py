"""What all sites can read at the broker: the manifest of the round that runs, and the parts of the model it lists."""

from collections.abc import Iterable

import msgspec

from fedfin.errors import ProtocolError
from fedfin.plan import Plan
from fedfin.protocol import transfer
from fedfin.protocol.life import Life
from fedfin.protocol.messages.manifest import Part, PartKind, RoundManifest, Want
from fedfin.protocol.messages.transfers import Outline
from fedfin.protocol.rounds.effects import ClearParts, Effect, PublishManifest, PublishPart, Send, SendChunks
from fedfin.protocol.rounds.events import Opened, Payload
from fedfin.protocol.schedule import task_of


class Published:
    """Of one aggregator. `chunk_size`: the most that a chunk holds; `manifest`: None before the first round is open."""

    def __init__(self, plan: Plan, run: str, chunk_size: int) -> None:
        self._plan, self._run, self._chunk_size = plan, run, chunk_size
        self._outlines: dict[tuple[PartKind, int], Outline] = {}  # as parts were cut into chunks
        self.manifest: RoundManifest | None = None

    def open(self, event: Opened, threshold: int, life: Life) -> list[Effect]:
        """A round runs: the parts that are new, then the manifest, which lists all; other parts are cleared.

        `threshold`: which sites it asks (invitation.py).
        """
        new = self._cut(event.parts, event.chunk_size)
        # In the order in which they were published: the snapshot first.
        snapshot, *deltas = (
            Part(version=version, outline=cut) for (_, version), cut in self._outlines.items()
        )
        self.manifest = RoundManifest(
            run=self._run,
            round=event.round,
            task=task_of(self._plan, event.round),
            state="finished" if event.finished else "open",
            version=event.version,
            model=event.model,
            snapshot=snapshot,
            deltas=tuple(deltas),
            threshold=threshold,
            life=life,
        )
        return [*new, PublishManifest(self.manifest), ClearParts(tuple(self._outlines))]

    def ask(self, threshold: int) -> list[Effect]:
        """The round asks these sites from now on; nothing where it does already."""
        if self.manifest is None or self.manifest.threshold == threshold:
            return []
        self.manifest = msgspec.structs.replace(self.manifest, threshold=threshold)
        return [PublishManifest(self.manifest)]

    def begin_life(self, life: Life) -> Effect:
        """The round goes on in this one."""
        assert self.manifest is not None
        self.manifest = msgspec.structs.replace(self.manifest, life=life)
        return PublishManifest(self.manifest)

    def again(self, site: str) -> list[Effect]:
        """The manifest once more, for a site that may have missed it."""
        return [] if self.manifest is None else [Send(site, "dn/ctl", self.manifest)]

    def answer(self, site: str, want: Want) -> list[Effect]:
        """The chunks that a site lacks; where the part is not on offer any more, the manifest."""
        outline = self._outlines.get((want.part, want.version))
        if outline is None:
            return self.again(site)
        try:
            missing = tuple(transfer.indices(want.bitmap, len(outline.chunks)))
        except ProtocolError:
            return []
        return [SendChunks(site, want.part, want.version, missing)] if missing else []

    def _cut(self, payloads: Iterable[Payload], room: int) -> list[PublishPart]:
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
