"""The model's versions: the newest in memory, what leads to each in the journal.

A version is kept as a snapshot or as the delta from the version before, whichever the chain (fedfin/protocol/chain.py)
has made of it; any version between the oldest kept snapshot and the newest can be rebuilt.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Preset, Shapes, Tensors, compensate, compress, decompress
from fedfin.errors import ProtocolError, StateError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import model_shapes, task_specs
from fedfin.plan import Plan
from fedfin.protocol import transfer
from fedfin.protocol.chain import Chain, Offer, extend, saves_bytes
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.payloads import apply_delta, decode_model, encode_delta, encode_model, shifted
from fedfin.protocol.rounds.events import Payload
from fedfin_aggregator.fold.fold import apply_means
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.version_records import Step

Means = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Change:
    """From one version to the next. `owed`: what compression left out of it; `set`, `add`: the delta's bodies."""

    tensors: Tensors
    owed: Tensors
    set: bytes
    add: bytes


class Versions:
    """All versions of one federation's model, on top of its journal."""

    def __init__(self, journal: Journal, plan: Plan) -> None:
        self._journal = journal
        self._plan = plan.digest()
        self._shapes = model_shapes(plan)
        self._trained = task_specs(plan, "train")
        version = journal.versions.newest()
        self.version = 0 if version is None else version
        self._owed: Tensors = {}
        if version is None:
            self._tensors = initial_model(plan)
            return
        self._tensors = self.tensors(version)
        self._chain = _chain_of(journal.versions.listed())
        if body := journal.versions.owed():
            self._owed = decompress(body, self._shapes)

    @property
    def current(self) -> Tensors:
        """The newest version's."""
        return self._tensors

    def first(self) -> Step:
        """Version 0, to be written by the journal."""
        snapshot = encode_model(self._tensors, plan=self._plan, version=0)
        return self._step(0, snapshot, b"", Chain(Offer(0, len(snapshot))))

    def next(self, added: Means, replaced: Means, preset: Preset) -> Step:
        """The next version, to be written by the journal; the former is forgotten here, not there."""
        change = make_change(self._tensors, added, replaced, self._owed, self._shapes, preset)
        version = self.version + 1
        snapshot, delta = encode_model(change.tensors, plan=self._plan, version=version), b""
        if saves_bytes(len(change.set) + len(change.add), len(snapshot)):
            delta = encode_delta(change.set, change.add, plan=self._plan, version=version)
        chain = extend(self._chain, Offer(version, len(snapshot)), len(delta) or len(snapshot))
        self._tensors, self._owed, self.version = change.tensors, change.owed, version
        return self._step(version, snapshot, delta, chain)

    def back(self, best: int, replaced: Means, *, version: int) -> Step:
        """An earlier version's trained tensors again, as version `version`, which is offered whole."""
        earlier = self.tensors(best)
        trained = {name: earlier[name] for name in self._trained}
        self._tensors = apply_means(self._tensors | trained, replaced, replace=True)
        self._owed, self.version = {}, version
        snapshot = encode_model(self._tensors, plan=self._plan, version=version)
        return self._step(version, snapshot, b"", Chain(Offer(version, len(snapshot))))

    def _step(self, version: int, snapshot: bytes, delta: bytes, chain: Chain) -> Step:
        self._chain = chain
        parts, leaves = [], transfer.leaves(memoryview(snapshot))
        if chain.snapshot.version == version:
            parts.append(Payload("snapshot", version, snapshot, leaves))
        if chain.deltas:
            parts.append(Payload("delta", version, delta))
        owed = compress(self._owed, self._shapes, "exact").body if self._owed else b""
        return Step(version, transfer.identity(len(snapshot), leaves), tuple(parts), _listed(chain), owed)

    def tensors(self, version: int) -> Tensors:
        """Any version that is kept. Raises StateError when it is not, or is damaged."""
        base, deltas = self._journal.versions.way_to(version)
        try:
            tensors, whole = self._rebuilt(version, base, deltas)
            sound = transfer.whole_id(whole) == self._journal.versions.model_id(version)
        except ProtocolError:
            sound = False
        if not sound:
            raise StateError(f"model version {version} in the journal is damaged; restore it from a backup")
        return tensors

    def _rebuilt(self, version: int, base: bytes, deltas: list[bytes]) -> tuple[Tensors, bytes]:
        """The tensors, and the payload that they make."""
        at, tensors = decode_model(base, plan=self._plan, shapes=self._shapes)
        if not deltas:
            return tensors, base
        for number, delta in enumerate(deltas, at + 1):
            tensors = apply_delta(tensors, delta, plan=self._plan, version=number, shapes=self._shapes)
        return tensors, encode_model(tensors, plan=self._plan, version=version)


def make_change(
    model: Tensors, added: Means, replaced: Means, owed: Tensors, shapes: Shapes, preset: Preset
) -> Change:
    """What a round makes of a model: some tensors are added to, others (moments, and what is solved) replaced.

    With a lossy preset what it leaves out is owed to the next version: error feedback, as at a site.
    """
    following = apply_means(model, replaced, replace=True)
    if preset == "exact":
        following = apply_means(following, _sum(added, owed) if owed else added, replace=False)
        return Change(following, {}, _changed(model, following, shapes), compress({}, shapes, "exact").body)
    wanted = compensate({name: mean.astype(np.float32) for name, mean in added.items()}, owed)
    packed = compress(wanted, shapes, preset)
    moved = {name: shifted(model[name], by) for name, by in decompress(packed.body, shapes).items()}
    still = {name: array for name, array in owed.items() if name not in wanted}
    left = still | _bounded(packed.residual)
    return Change(following | moved, left, _changed(model, following, shapes), packed.body)


def _changed(model: Tensors, following: Tensors, shapes: Shapes) -> bytes:
    """A body of the tensors that are not what they were."""
    changed = {name: array for name, array in following.items() if not _same(array, model[name])}
    return compress(changed, shapes, "exact").body


def _bounded(owed: Tensors) -> Tensors:
    """Within what an exact body carries: after a restart the journal's must be what was in memory."""
    return {name: np.clip(array, -limits.VALUE_ABS, limits.VALUE_ABS) for name, array in owed.items()}


def _sum(means: Means, owed: Tensors) -> Means:
    """Each mean with what is owed to it, and what is owed alone."""
    return {
        **means,
        **{name: means.get(name, 0.0) + array.astype(np.float64) for name, array in owed.items()},
    }


def _same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Bit for bit: 0.0 is not -0.0."""
    return np.array_equal(one.view(np.uint32), other.view(np.uint32))


def _listed(chain: Chain) -> tuple[tuple[PartKind, int], ...]:
    return ("snapshot", chain.snapshot.version), *(("delta", delta.version) for delta in chain.deltas)


def _chain_of(parts: tuple[Payload, ...]) -> Chain:
    snapshot, *deltas = (Offer(part.version, len(part.data)) for part in parts)
    return Chain(snapshot, tuple(deltas))
