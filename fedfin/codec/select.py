"""Which values a sparse tensor keeps: the largest of all tensors together."""

import math
from collections.abc import Sequence

import numpy as np

from fedfin.codec.golomb import Numbers
from fedfin.codec.quantize import Floats

# One value in so many tells where about the threshold is. A prime, so that it meets every column of a matrix.
_STRIDE = 17


def largest(flats: Sequence[Floats], share: float) -> tuple[list[Numbers], np.float32]:
    """(positions in each array, the least magnitude kept): the `share` of all values that is largest, no zeros.

    Of equal magnitudes at the threshold the first are kept. A quantile, never a multiple of the rms: with error
    feedback the rms grows with what is owed, and such a threshold rises out of reach.
    """
    total = sum(flat.size for flat in flats)
    if not total:
        return [np.zeros(0, np.int64) for _ in flats], np.float32(0)
    count = math.ceil(share * total)
    places, found = _candidates(flats, _guess(flats, share))
    if sum(map(len, places)) < count:
        places, found = _candidates(flats, np.float32(0))
    magnitudes = np.concatenate(found)
    count = min(count, len(magnitudes))
    if not count:
        return places, np.float32(0)
    threshold = np.partition(magnitudes, len(magnitudes) - count)[len(magnitudes) - count]
    keep = magnitudes > threshold
    equal = np.flatnonzero(magnitudes == threshold)
    keep[equal[: count - np.count_nonzero(keep)]] = True
    cuts = np.cumsum([len(some) for some in places])[:-1]
    return [some[kept] for some, kept in zip(places, np.split(keep, cuts), strict=True)], threshold


def _guess(flats: Sequence[Floats], share: float) -> np.float32:
    """A magnitude that a little more than `share` of the values should reach, by a sample."""
    sample = np.concatenate([np.abs(flat[::_STRIDE]) for flat in flats])
    rank = max(int(len(sample) * (1 - 1.25 * share)) - 1, 0)
    guess: np.float32 = np.partition(sample, rank)[rank]
    return guess


def _candidates(flats: Sequence[Floats], least: np.float32) -> tuple[list[Numbers], list[Floats]]:
    """Positions and magnitudes of the values that are at least `least`, and not zero."""
    least = max(least, np.finfo(np.float32).smallest_subnormal)
    places, found = [], []
    for flat in flats:
        magnitudes = np.abs(flat)
        places.append(np.flatnonzero(magnitudes >= least))
        found.append(magnitudes[places[-1]])
    return places, found
