"""What sums of disjoint groups of sites come to together: the coordinate-wise median of the groups' means.

Nobody sees one site's part of a secure sum, but each group's sum (fedfin/protocol/sum_groups.py). As many groups as are
fewer than half may send anything: the median lies between values of the others (Yin et al., ICML 2018, arXiv
1803.01498). Every group counts alike. In whole numbers, so that a restart changes no bit.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.protocol.convergence import METRICS, pooled_loss
from fedfin.secure_sums.fixed_point import ONE
from fedfin.secure_sums.summand import Opened
from fedfin_aggregator.fold.fold import Sum
from fedfin_aggregator.fold.partial_sum import check_total
from fedfin_aggregator.fold.robust import median
from fedfin_aggregator.rounds.update_checks import check_granted

MetricSums = dict[str, tuple[Fraction, int]]


def possible(sums: Sequence[tuple[Opened, int, int]]) -> list[Opened]:
    """Those that the sites behind them can give; others are left out. Raises ProtocolError where none is left.

    sums: each with how many cases its sites are granted together, and how many sites they are.
    """
    kept = [opened for opened, granted, sites in sums if _is_possible(opened, granted, sites)]
    if not kept:
        raise ProtocolError("no group's sum is one that its sites can give")
    return kept


def _is_possible(opened: Opened, granted: int, sites: int) -> bool:
    """Each site counts once in each metric that it tells; what is not in `metrics` was told by none."""
    if not all(1 <= count <= sites for _, count in opened.metrics.values()):
        return False
    try:
        check_granted({name: weight for name, (_, weight) in opened.tensors.items()}, granted)
        for name, (total, weight) in opened.tensors.items():
            check_total(name, total, weight)
    except ProtocolError:
        return False
    return True


def median_sums(groups: Sequence[Opened]) -> dict[str, Sum]:
    """Of each tensor that any group has trained, over those that have."""
    names = sorted({name for opened in groups for name in opened.tensors})
    return {
        name: median(np.stack([_mean(*opened.tensors[name]) for opened in groups if name in opened.tensors]))
        for name in names
    }


def _mean(total: NDArray[np.int64], weight: int) -> NDArray[np.int64]:
    return np.rint(total / weight).astype(np.int64)


def metric_sums(groups: Sequence[Opened]) -> MetricSums:
    """Of all groups together; but of the losses, by which versions are judged, that of the group in the middle."""
    found: MetricSums = {}
    for opened in groups:
        for name, (total, count) in opened.metrics.items():
            known, before = found.get(name, (Fraction(), 0))
            found[name] = known + Fraction(total, int(ONE)), before + count
    others = {name: sum_ for name, sum_ in found.items() if name not in METRICS}
    return others | _losses_in_the_middle(groups)


def _losses_in_the_middle(groups: Sequence[Opened]) -> MetricSums:
    """Of an even number of groups the worse of the two: a version must not pass by half of the votes."""
    losses = []
    for place, opened in enumerate(groups):
        sums = {n: (Fraction(t, int(ONE)), c) for n, (t, c) in opened.metrics.items() if n in METRICS}
        loss = pooled_loss({name: float(total / count) for name, (total, count) in sums.items()})
        if loss is not None:
            losses.append((loss, place, sums))
    return sorted(losses, key=lambda one: one[:2])[len(losses) // 2][2] if losses else {}
