"""Which groups of sites are held out together in cross-validation."""

from collections.abc import Sequence

from fedfin.plan import Plan
from fedfin_aggregator.closed_form.pooled_moments import Moments, Sums
from fedfin_aggregator.fold.fold import Sum

FOLDS = 5  # more cost time and hardly choose better


def folds(plan: Plan, groups: Sequence[Sums]) -> list[Moments]:
    """At most FOLDS sets of sums; those groups that have several modalities come into different ones first."""
    modalities = list(plan.dims)

    def size(group: Sums) -> tuple[float, float]:
        moments = Moments(plan, group)
        pairs = sum(moments.cases(a, b) for a in modalities for b in modalities if a != b)
        return pairs, sum(moments.cases(m, m) for m in modalities)

    merged: list[Sums] = []
    for group in sorted(groups, key=size, reverse=True):
        if len(merged) < FOLDS:
            merged.append(group)
        else:
            smallest = min(range(FOLDS), key=lambda place: size(merged[place]))
            merged[smallest] = add(merged[smallest], group)
    return [Moments(plan, sums) for sums in merged]


def add(one: Sums, other: Sums) -> Sums:
    """Both together."""
    both = dict(one)
    for name, sum_ in other.items():
        if name in both:
            both[name] = Sum(both[name].total + sum_.total, both[name].weight + sum_.weight)
        else:
            both[name] = sum_
    return both
