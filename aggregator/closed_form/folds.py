"""Which groups of sites are held out together in cross-validation."""

from collections.abc import Mapping, Sequence

import numpy as np

from aggregator.closed_form.moments import Moments
from fedfin.plan import Plan

FOLDS = 5  # more cost time and hardly choose better
Sums = Mapping[str, tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], float]]


def folds(plan: Plan, groups: Sequence[Sums]) -> list[Moments]:
    """At most FOLDS sets of sums; those groups that have several modalities come into different ones first."""
    modalities = list(plan.dims)

    def size(group: Moments) -> tuple[float, float]:
        pairs = sum(group.cases(a, b) for a in modalities for b in modalities if a != b)
        return pairs, sum(group.cases(m, m) for m in modalities)

    merged: list[Sums] = []
    for group in sorted(groups, key=lambda group: size(Moments(plan, group)), reverse=True):
        if len(merged) < FOLDS:
            merged.append(group)
        else:
            smallest = min(range(FOLDS), key=lambda place: size(Moments(plan, merged[place])))
            merged[smallest] = add(merged[smallest], group)
    return [Moments(plan, sums) for sums in merged]


def add(one: Sums, other: Sums) -> Sums:
    """The means of both together."""
    both = dict(one)
    for name, (mean, count) in other.items():
        if name in both:
            known, before = both[name]
            both[name] = (known * before + mean * count) / (before + count), before + count
        else:
            both[name] = mean, count
    return both
