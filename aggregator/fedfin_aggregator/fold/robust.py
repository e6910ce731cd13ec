"""What a round of training comes to when some sites may send anything: for the open level, where each update is seen.

    median         of each value by itself (Yin et al., ICML 2018, arXiv 1803.01498)
    trimmed_mean   without the TRIMMED highest and lowest fifth of each value (there, too)
    krum           the mean of the updates that are nearest to most others (multi-Krum: Blanchard et al., NIPS 2017)

Every site counts alike, whatever number of cases it claims. In whole numbers, or by sites' names: neither the order of
arrival nor a restart changes a bit.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.plan_sections import Robust
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.fold.fold import Sum

Floats = NDArray[np.float64]

TRIMMED = 5  # a fifth of the sites is cut off at either end, one at least where there are three


def robust_sums(kind: Robust, updates: Mapping[str, Tensors]) -> dict[str, Sum]:
    """Of each tensor that any site has trained, over those that have; by site, each site's tensors."""
    kept = _nearest(updates) if kind == "krum" else sorted(updates)
    names = sorted({name for site in kept for name in updates[site]})
    combine = median if kind == "median" else _trimmed if kind == "trimmed_mean" else _whole
    return {
        name: combine(np.stack([_fixed(updates[s][name]) for s in kept if name in updates[s]]))
        for name in names
    }


def _fixed(values: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.rint(values.astype(np.float64) * ONE).astype(np.int64)


def median(values: NDArray[np.int64]) -> Sum:
    """[sites, ...]: of an even number the mean of the two in the middle."""
    ordered, middle = np.sort(values, axis=0), len(values) // 2
    between = ordered[middle : middle + 1] if len(values) % 2 else ordered[middle - 1 : middle + 1]
    return _whole(between)


def _trimmed(values: NDArray[np.int64]) -> Sum:
    cut = max(len(values) // TRIMMED, 1) if len(values) > 2 else 0  # noqa: PLR2004 - else none would be left
    return _whole(np.sort(values, axis=0)[cut : len(values) - cut])


def _whole(values: NDArray[np.int64]) -> Sum:
    return Sum(values.sum(axis=0), len(values))


def _nearest(updates: Mapping[str, Tensors]) -> list[str]:
    """The sites that are kept: all but as many as may be bad, by the distances to their nearest others."""
    sites = sorted(updates)
    bad = max(0, (len(sites) - 3) // 2)  # Krum holds where there are 2 bad + 3 sites
    neighbours = len(sites) - bad - 2
    if not bad:
        return sites
    distances = _distances([updates[site] for site in sites])
    scores = np.sort(distances, axis=1)[:, 1 : 1 + neighbours].sum(axis=1)  # each is nearest to itself
    return sorted(sites[place] for place in np.argsort(scores, kind="stable")[: len(sites) - bad])


def _distances(updates: list[Tensors]) -> Floats:
    """Squared, [sites, sites]; what a site has not trained counts as zero."""
    count = len(updates)
    distances = np.zeros((count, count))
    for one in range(count):
        for other in range(one + 1, count):
            distances[one, other] = distances[other, one] = _distance(updates[one], updates[other])
    return distances


def _distance(one: Tensors, other: Tensors) -> float:
    return sum(
        float(
            np.square(one.get(name, np.float32(0)) - other.get(name, np.float32(0)), dtype=np.float64).sum()
        )
        for name in sorted(one.keys() | other.keys())
    )
