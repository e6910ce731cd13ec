"""Of which labels enough patients of all sites have both answers, by what the first sum counts of them.

What follows goes into the model; the counts go nowhere.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.model.answer_counts import ANSWERS, COUNT, COUNTED, ENOUGH, NOBODY, Counted, enough_shapes
from fedfin.model.blocks import Judgement
from fedfin.plan import Plan
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.fold.fold import Sum

Sums = Mapping[str, Sum]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

WHOLE = 1e-6  # how far a sum of whole numbers may be off one, once it was divided by the number of sites
FEW = 1  # patients: more than none, and never enough


def without_counts(sums: Sums) -> dict[str, Sum]:
    """What else the sum holds."""
    return {name: sum_ for name, sum_ in sums.items() if not name.startswith(COUNT)}


def enough_answers(plan: Plan, sums: Sums) -> dict[str, Floats]:
    """The tensors `enough.*` of fedfin/model/answer_counts.py; none where no site has counted."""
    least, found = plan.privacy.least_answers or 0, {}
    for task in COUNTED:
        if COUNT + task not in sums:
            continue
        counts = np.rint(sums[COUNT + task].total / ONE)
        rows = enough_shapes(plan)[ENOUGH + task][0]
        flags, counted = _enough(counts[:rows], least), counts[:rows].any(axis=-1)
        if task != "second_moments":
            clear, lost = np.asarray(_none_or(least, counts[rows:]).all(axis=-1)), _lost(plan, sums)
            flags = _without_few(plan, task, flags, clear, lost)
            counted |= bool(lost)  # cases that were too few of their combination may be enough without it
        found[ENOUGH + task] = np.where(counted, flags, NOBODY).astype(np.float64)
    return found


def _enough(counts: Floats, least: int) -> Flags:
    """Whether both answers are those of enough patients, and no answer of nobody or enough. counts: [..., kinds]."""
    answers, unknown = counts[..., :ANSWERS], counts[..., ANSWERS:]
    return np.asarray((answers >= least).all(axis=-1) & _none_or(least, unknown).all(axis=-1))


def _without_few(plan: Plan, task: Counted, flags: Flags, clear: Flags, lost: set[str]) -> Flags:
    """The same, but for rows that taken off each other would be of few patients.

    clear: by combination of modalities, whether nobody or enough are behind it. Where sites go on without a modality
    combinations are others than were counted: of one modality left there is one, of several nobody knows.
    """
    if not lost:
        few = _combinations(plan, task).astype(np.int64) @ (~clear).astype(np.int64)
        return np.asarray(flags & (few == 0))
    left, found = [place for place, modality in enumerate(plan.dims) if modality not in lost], flags.copy()
    if task == "evaluate":
        found[-1] = len(left) == 1 and flags[1 + left[0]]
    elif len(left) > 1:
        found[:] = False
    return found


def _combinations(plan: Plan, task: Counted) -> Flags:
    """Which may be left of a scenario or a pattern when others are taken off it, bool [rows, combinations]."""
    rows = np.arange(1 << len(plan.dims))
    if task == "calibrate":
        return np.asarray((rows & rows[:, None]) == rows[:, None])
    incomplete = rows < len(rows) - 1
    of_each = [(rows >> place & 1).astype(np.bool_) & incomplete for place in range(len(plan.dims))]
    return np.stack([np.zeros(len(rows), np.bool_), *of_each, rows > 0])


def _none_or(least: int, counts: Floats) -> Flags:
    return np.asarray((counts == 0) | (counts >= least))


def _lost(plan: Plan, sums: Sums) -> set[str]:
    """Modalities without which the sites go on, so that their cases are of other parts than was counted."""
    if not plan.privacy.least_sites_per_block:
        return set()
    return {modality for modality in plan.dims if f"norm.{modality}.mean" not in sums}


def check_counts(name: str, means: NDArray[np.floating], sites: int, most: int) -> None:
    """Whole patients, of each site so many at most. Raises ProtocolError."""
    if (means < 0).any() or (means > most).any():
        raise ProtocolError(f"tensor {name} counts fewer patients than none, or more than {most} of a site")
    totals = means.astype(np.float64) * sites
    if (np.abs(totals - np.rint(totals)) > WHOLE).any():
        raise ProtocolError(f"tensor {name} counts parts of patients")


def few_where_withheld(tensors: Mapping[str, Sum], judgement: Judgement) -> None:
    """In place: what fewer sites count than the plan asks for is in no sum, and not nobody for that."""
    for name, place in judgement.missed:
        if name.startswith(COUNT) and name in tensors:
            tensors[name].total[place] = round(FEW * ONE)
