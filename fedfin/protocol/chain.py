"""How a model version gets to the sites: a snapshot of one version, and deltas from version to version after it.

A site that holds an earlier version takes the deltas since; one that holds none, or too old a one, the snapshot and the
deltas after it. The aggregator decides with `extend` what it offers; a site finds its way with `path`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fedfin import limits
from fedfin.protocol.messages.manifest import Part, PartKind, RoundManifest


@dataclass(frozen=True)
class Offer:
    """A version with the bytes that are to be fetched for it."""

    version: int
    size: int


@dataclass(frozen=True)
class Chain:
    """What is on offer. `deltas`: without a gap up to the newest version; none when that one is the snapshot's."""

    snapshot: Offer
    deltas: tuple[Offer, ...] = ()


def extend(chain: Chain, snapshot: Offer, delta_size: int) -> Chain:
    """The chain with one more version. `snapshot`: what that one would be; `delta_size`: the way to it.

    A snapshot is renewed when the deltas since the last one exceed a quarter of it, or are too many; what is older
    stays while it is cheaper than the snapshot.
    """
    if not saves_bytes(delta_size, snapshot.size):
        return Chain(snapshot)
    deltas = (*chain.deltas, Offer(snapshot.version, delta_size))
    since = [delta for delta in deltas if delta.version > chain.snapshot.version]
    renew = len(since) > limits.LISTED_DELTAS or 4 * _size(since) > snapshot.size
    base = snapshot if renew else chain.snapshot
    while len(deltas) > limits.LISTED_DELTAS or _size(deltas) > base.size:
        deltas = deltas[1:]
    return Chain(base, deltas)


def saves_bytes(delta_size: int, snapshot_size: int) -> bool:
    """Whether a delta saves a tenth or more: less does not pay for a second way."""
    return 10 * delta_size <= 9 * snapshot_size


def path(manifest: RoundManifest, held: int | None) -> list[tuple[PartKind, Part]]:
    """The fewest bytes from version `held` (None: from nothing) to the manifest's, in the order to apply them."""
    after = [part for part in manifest.deltas if part.version > manifest.snapshot.version]
    fresh: list[tuple[PartKind, Part]] = [
        ("snapshot", manifest.snapshot),
        *(("delta", part) for part in after),
    ]
    if held is None or not manifest.deltas or not manifest.deltas[0].version - 1 <= held < manifest.version:
        return fresh
    onward: list[tuple[PartKind, Part]] = [("delta", part) for part in manifest.deltas if part.version > held]
    return min(onward, fresh, key=lambda way: sum(part.outline.size for _, part in way))


def _size(offers: Sequence[Offer]) -> int:
    return sum(offer.size for offer in offers)
