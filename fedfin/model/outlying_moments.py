"""Whether a site's features can be of the kind that the others have: its first moments against theirs. numpy only.

Sites differ: hospitals see other patients. A part of the others' own cases, however picked, has means within a few of
their deviations, and varies about as much; other units, shifted or constant values do not. So means may differ by
SHIFT deviations, and deviations by the factor WIDTH, in the median over a modality's features; a single feature, which
may be rare, by FEATURE_SHIFT and FEATURE_WIDTH. To that comes what chance does with so few cases, and FAR times what
the others differ by among themselves, so that sites that are no random draw are no outliers. Medians are over sites:
fewer than half of them being wrong move none.

At secure sums a site knows its own moments and the pooled ones alone, which it is part of: `unlike_the_pool`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_CASES = 10  # below, nothing is said of a site
SHIFT, FEATURE_SHIFT = 1.5, 8.0  # deviations
WIDTH, FEATURE_WIDTH = 2.5, 30.0  # factors
FAR = 5.0  # of the others' spread, as a deviation
CHANCE = 4.0  # standard errors
PART = 1.7  # mean squared distance from the pooled mean, in pooled variances
NARROW = 0.05  # the same, of a site beside which the pooled moments are far too wide
NEARLY_ALL = (
    0.9  # of a modality's features are narrow where a site is called so: rare ones may be constant anywhere
)
_DEVIATION = 1.4826  # of a median distance, as a normal distribution has it
_TINY = 1e-12


@dataclass(frozen=True)
class FeatureMoments:
    """One modality's at one site: how many cases, and the means of its features and of their squares, [dim]."""

    cases: int
    mean: Floats
    square: Floats

    @property
    def variance(self) -> Floats:
        """[dim], at least 0."""
        return np.maximum(self.square - np.square(self.mean), 0.0)


def outlying(own: FeatureMoments, others: Sequence[FeatureMoments]) -> str | None:
    """In what a site's features are unlike those of the others, with the figures; None: they are not, or are few."""
    others = [other for other in others if other.cases >= LEAST_CASES]
    if own.cases < LEAST_CASES or not others:
        return None
    return _wide(own, others) or _shifted(own, others)


def unlike_the_pool(own: FeatureMoments, mean: Floats, variance: Floats) -> str | None:
    """In what a site that is in the pool is unlike the rest of it; mean, variance: the pooled ones, [dim].

    It sees its cases' mean squared distance from the pooled mean, in pooled variances: about 1, and at most one by its
    share of all cases. Who is more than a part that large of the pool is not found so.
    """
    seen = variance > _TINY
    if own.cases < LEAST_CASES or not seen.any():
        return None
    distance = (own.variance + np.square(own.mean - mean))[seen] / variance[seen]
    middle, usual = float(np.median(distance)), PART + CHANCE / math.sqrt(own.cases)
    if middle <= usual:
        return None
    return (
        f"its features are {middle:.2g} pooled variances from the pooled means in the mean square (up to {usual:.2g} is"
        " usual)"
    )


def lost_in_the_pool(own: FeatureMoments, variance: Floats) -> bool:
    """Whether the pooled moments are so wide that nearly all of this site's cases are one point in them."""
    seen = variance > _TINY
    distance = own.variance[seen] / variance[seen]
    return own.cases >= LEAST_CASES and bool(seen.any()) and float(np.quantile(distance, NEARLY_ALL)) < NARROW


def _wide(own: FeatureMoments, others: Sequence[FeatureMoments]) -> str | None:
    """By the deviations of its features, as logarithms."""
    least = _TINY * max(float(moments.square.max(initial=0.0)) for moments in (own, *others)) + _TINY
    logs = 0.5 * np.log(np.array([other.variance for other in others]) + least)
    centre = np.median(logs, axis=0)
    away, theirs = 0.5 * np.log(own.variance + least) - centre, logs - centre
    varies = np.array([other.variance for other in others]) > least
    vary, mostly = varies.all(axis=0), varies.mean(axis=0) > 1 / 2
    if not vary.any():
        return None
    # Of features that are rare few may vary everywhere else: those that do at most sites must be narrow here, too.
    widest = max(float(np.quantile(away[of], NEARLY_ALL)) for of in (vary, mostly))
    middle = float(np.median(away[vary]))
    chance = CHANCE / math.sqrt(own.cases)
    usual = math.log(WIDTH) + chance + FAR * float(_spread(np.median(theirs[:, vary], axis=1)))
    if widest < -usual:
        return f"nearly all its features vary {_times(widest)} as much as at other sites, or less"
    if middle > usual:
        return (
            f"its features vary {_times(middle)} as much as at other sites (up to {_times(usual)} is usual)"
        )
    limit = math.log(FEATURE_WIDTH) + chance + FAR * _spread(theirs)
    if len(found := np.flatnonzero(vary & (away > limit))):  # one that is rare elsewhere may be constant here
        worst = found[np.argmax(away[found])]
        times = _times(float(away[worst]))
        return f"{_features(found)} out of bounds: feature {worst} varies {times} as much as elsewhere"
    return None


def _shifted(own: FeatureMoments, others: Sequence[FeatureMoments]) -> str | None:
    """By their means, in deviations: the largest of its own, of the others' and of half a common feature's."""
    means = np.array([other.mean for other in others])
    centre = np.median(means, axis=0)
    total = np.median([other.variance + np.square(other.mean - centre) for other in others], axis=0)
    if (largest := float(np.median(total))) <= 0.0:
        return None
    unit = np.sqrt(np.maximum(np.maximum(total, own.variance), largest / 4))
    away, theirs = np.abs(own.mean - centre) / unit, np.abs(means - centre) / unit
    middle, chance = float(np.median(away)), CHANCE / math.sqrt(own.cases)
    usual = SHIFT + chance + FAR * float(_spread(np.median(theirs, axis=1)))
    if middle > usual:
        return f"its features' means are {middle:.1f} deviations off those of other sites (up to {usual:.1f} is usual)"
    if len(found := np.flatnonzero(away > FEATURE_SHIFT + chance + FAR * _spread(theirs))):
        worst = found[np.argmax(away[found])]
        return (
            f"{_features(found)} out of bounds: feature {worst} is {away[worst]:.1f} deviations off elsewhere"
        )
    return None


def _spread(distances: Floats) -> Floats:
    """Of sites, the first axis, as a deviation that fewer than half of them cannot move; one value for one each."""
    return np.asarray(_DEVIATION * np.median(np.abs(distances), axis=0))


def _times(log: float) -> str:
    return f"{math.exp(log):.3g} times"


def _features(found: NDArray[np.intp]) -> str:
    return "1 feature" if len(found) == 1 else f"{len(found)} features"
