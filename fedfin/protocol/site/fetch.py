"""A site on its way to a model: which parts it needs, which chunks of them it has. Pure bookkeeping, no I/O."""

from itertools import islice

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.chain import path
from fedfin.protocol.messages.manifest import Part, PartKind, RoundManifest, Want
from fedfin.protocol.messages.transfers import Chunk
from fedfin.protocol.site.effects import Assemble, Effect, Follow, Send, Unfollow

# Subscriptions at once, and bytes: what the broker then has on its way to us, however large the chunks are.
FOLLOWED = 64
FOLLOWED_BYTES = FOLLOWED * limits.CHUNK_BYTES


class Fetch:
    """Parts under way to one manifest's model; those that a later manifest needs too are not fetched twice."""

    def __init__(self) -> None:
        self._way: list[tuple[PartKind, Part]] = []
        self._incoming: dict[bytes, transfer.Incoming] = {}  # by the part's digest
        self._followed: list[Follow] = []
        self._come = 0  # chunks since these were chosen

    def aim(self, manifest: RoundManifest, held: int | None) -> list[Effect]:
        """Turn to this manifest's model; `held`: the version that the site has, None when it has none to build on."""
        former, self._way = self._incoming, path(manifest, held)
        outlines = {part.outline.id: part.outline for _, part in self._way}
        self._incoming = {
            id_: former[id_] if id_ in former and former[id_].plan == plan else transfer.Incoming(plan)
            for id_, plan in outlines.items()
        }
        return self._subscribe()

    def stop(self) -> list[Effect]:
        """Nothing is needed now; what has come is kept, in case it is needed after all."""
        self._way = []
        return self._subscribe()

    def reconnected(self) -> list[Effect]:
        """The broker has forgotten the subscriptions."""
        self._followed = []
        return self._subscribe()

    def add(self, chunk: Chunk) -> list[Effect]:
        """Take one chunk; one of another part is ignored. Raises ProtocolError when it is damaged.

        Half a window at a time is given up for the next: each subscription alone is a packet there and back.
        """
        if chunk.id not in self._incoming or not self._incoming[chunk.id].add(chunk):
            return []
        self._come += 1
        return self._subscribe() if self._come >= self._window // 2 else []

    @property
    def complete(self) -> bool:
        """Whether every part is here."""
        return all(incoming.complete for incoming in self._incoming.values())

    def wants(self) -> list[Effect]:
        """Ask the aggregator for what the broker does not bring."""
        return [
            Send("up/ctl", Want(part=kind, version=part.version, bitmap=incoming.bitmap()))
            for kind, part, incoming in self._parts()
            if not incoming.complete
        ]

    def finish(self, manifest: RoundManifest) -> list[Effect]:
        """From here on the parts are the shell's. Raises ProtocolError when one is not what was announced."""
        payloads: dict[PartKind, list[bytes]] = {"snapshot": [], "delta": []}
        for kind, _, incoming in self._parts():
            payloads[kind].append(incoming.data())
        snapshot = payloads["snapshot"][0] if payloads["snapshot"] else None
        checked = not payloads["delta"] and self._way[0][1].outline.id == manifest.model
        self._way, self._incoming = [], {}
        return [
            *self._subscribe(),
            Assemble(manifest.version, manifest.model, snapshot, tuple(payloads["delta"]), checked),
        ]

    def _parts(self) -> list[tuple[PartKind, Part, transfer.Incoming]]:
        return [(kind, part, self._incoming[part.outline.id]) for kind, part in self._way]

    @property
    def _window(self) -> int:
        """Chunks that are followed at once."""
        largest = max((part.outline.chunk_size for _, part in self._way), default=limits.CHUNK_BYTES)
        return min(FOLLOWED, FOLLOWED_BYTES // largest)

    def _subscribe(self) -> list[Effect]:
        """Follow the first of the chunks that are missing, one by one, and no other.

        Never all of them by a wildcard: RabbitMQ gives no retained messages to such a subscription.
        """
        before, self._come = self._followed, 0
        missing = (Follow(kind, part.version, i) for kind, part, to in self._parts() for i in to.missing)
        self._followed = list(islice(missing, self._window))
        wanted, known = set(self._followed), set(before)
        return [
            *(Unfollow(f.kind, f.version, f.index) for f in before if f not in wanted),
            *(f for f in self._followed if f not in known),
        ]
