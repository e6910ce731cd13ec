"""Which secure sums of statistics may stand beside each other, so that their difference is of no site, or of three.

Moments, second moments, calibration and evaluation are asked once, of a data set that stays as it is, and what their
sums hold is in part the same. A site that is in one of two such sums and not in the other would show its own. So any
two sums of statistics in a run are over the same sites, or differ by three or more. Both ends hold to that. Training is
asked of another model in every round.
"""

import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, combinations

from fedfin.limits import LEAST_SUMMED
from fedfin.model.model_spec import Task

NO_COHORT = (
    "any sum of the sites that are ready differs from an earlier sum by one or two sites, whose own statistics it would"
    " show; none was made"
)

NOT_ALIKE = (
    "the plan asks for sites behind every block, so that sums of statistics must be over the same sites; some of an"
    " earlier sum's are missing; none was made"
)

PASSED_OVER = "sites have answered this round before the aggregator was set back; no second sum of it is made"


def answered_once(task: Task) -> bool:
    """Whether every round of this task asks the same of the same cases: all but training."""
    return task != "train"


def exposes(sites: Iterable[str], earlier: Iterable[AbstractSet[str]], *, alike: bool = False) -> bool:
    """Whether a sum over these sites, less one of the earlier sums, would be that of one or two sites.

    `alike`: or of any: of those that differ too few may have a modality, however many they are.
    """
    sites, most = frozenset(sites), math.inf if alike else LEAST_SUMMED
    return any(0 < len(sites ^ other) < most for other in earlier)


def largest_cohort(
    ready: Sequence[str],
    earlier: Sequence[AbstractSet[str]],
    least: int,
    *,
    leave_out: bool,
    alike: bool = False,
) -> tuple[str, ...] | None:
    """Of the sites that are ready (sorted) those that a sum may be over; None: no `least` of them.

    All, or the largest earlier cohort that is there whole; `leave_out`: else all but the last few, by name, so that
    rounds that follow find the same cohort again. `alike`: see exposes.
    """
    whole = sorted((sorted(sites) for sites in earlier if sites <= set(ready)), key=len, reverse=True)
    leaves_out = leave_out and not alike
    fewer = range(len(ready) - 1, len(ready) - 1 - LEAST_SUMMED, -1) if leaves_out else ()
    smaller = (kept for size in fewer if size >= least for kept in combinations(ready, size))
    candidates = chain([tuple(ready)], map(tuple, whole), smaller)
    allowed = (n for n in candidates if len(n) >= least and not exposes(n, earlier, alike=alike))
    return next(allowed, None)
