"""Of which labels enough patients of all sites have both answers, by what the first sum counts of them.

What follows goes into the model; the counts go nowhere.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.model.answer_counts import ANSWERS, COUNT, COUNTED, ENOUGH, NOBODY
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
        enough = _enough(counts, least)
        if task != "second_moments":
            (enough, _), (_, parts) = np.split(enough, 2), np.split(counts, 2)
            clear = np.asarray(_none_or(least, parts).all(axis=-1))
            if task == "calibrate":
                enough &= _combinations_clear(clear)
            else:
                enough &= _scenarios_clear(plan, enough, clear, _lost(plan, sums))
        flags = enough.astype(np.float64)
        flags[~counts[: len(flags)].any(axis=-1)] = NOBODY
        found[ENOUGH + task] = flags
    return found


def _enough(counts: Floats, least: int) -> Flags:
    """Whether both answers are those of enough patients, and no answer of nobody or enough. counts: [..., kinds]."""
    answers, unknown = counts[..., :ANSWERS], counts[..., ANSWERS:]
    return np.asarray((answers >= least).all(axis=-1) & _none_or(least, unknown).all(axis=-1))


def _combinations_clear(clear: Flags) -> Flags:
    """Of which patterns all combinations are, that have its modalities and maybe more; both bool [patterns]."""
    rows = np.arange(len(clear))
    within = (rows & rows[:, None]) == rows[:, None]
    return np.asarray(~(within & ~clear).any(axis=1))


def _none_or(least: int, counts: Floats) -> Flags:
    return np.asarray((counts == 0) | (counts >= least))


def _lost(plan: Plan, sums: Sums) -> set[str]:
    """Modalities without which the sites go on, so that their cases are of other parts than was counted."""
    if not plan.privacy.least_sites_per_block:
        return set()
    return {modality for modality in plan.dims if f"norm.{modality}.mean" not in sums}


def _scenarios_clear(plan: Plan, enough: Flags, clear: Flags, lost: set[str]) -> Flags:
    """Of which scenarios and labels nobody or enough patients are behind each part, bool as `enough` and `clear`.

    Where sites go on without a modality as-is is what the only one left tells, and there is nothing to take off either;
    of several left nobody has counted the parts.
    """
    found = np.ones_like(enough)
    left = [place for place, modality in enumerate(plan.dims, 1) if modality not in lost]
    if lost and len(left) == 1:
        found[-1] = enough[left[0]]
    else:
        found[1:-1] = clear[1:-1] & clear[-1]
        found[-1] = not lost and clear.all(axis=0)
    return found


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
