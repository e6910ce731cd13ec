"""Of which labels enough patients of all sites have both answers, by what the first sum counts of them.

What follows goes into the model; the counts go nowhere.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.model.answer_counts import (
    ANSWERS,
    ANY_LABEL,
    COUNT,
    ENOUGH,
    PAIRS,
    TOGETHER,
    count_shapes,
    enough_shapes,
    label_pairs,
)
from fedfin.model.blocks import Judgement
from fedfin.plan import Plan
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.fold.fold import Sum

Sums = Mapping[str, Sum]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

WHOLE = 1e-6  # how far a sum of whole numbers may be off one, once it was divided by the number of sites
HALF = 1 / 2  # of the labels
FEW = 1  # patients: more than none, and never enough


def without_counts(sums: Sums) -> dict[str, Sum]:
    """What else the sum holds."""
    return {name: sum_ for name, sum_ in sums.items() if not name.startswith(COUNT)}


def enough_answers(plan: Plan, sums: Sums) -> dict[str, Floats]:
    """The tensors `enough.*`, 1 or 0: scenarios, or patterns, by label; none where nobody has counted."""
    least = plan.privacy.least_answers or 0
    counts = {name: np.rint(sums[name].total / ONE) for name in count_shapes(plan) if name in sums}
    enough: dict[str, Flags] = {
        name.replace(COUNT, ENOUGH): np.all(count[..., :ANSWERS] >= least, axis=-1)
        & _none_or(least, count[..., ANSWERS:]).all(axis=-1)
        for name, count in counts.items()
        if not name.endswith(PAIRS) and name != ANY_LABEL
    }
    if (name := ENOUGH + "evaluate") in enough:
        flags = enough[name][: enough_shapes(plan)[name][0]]
        parts = counts[COUNT + "evaluate"][len(flags) :]
        lost = _lost(plan, sums)
        flags[-1] &= _as_one_left(plan, flags, lost) if lost else _clear(parts, least)
        enough[name] = flags
    for name, flags in enough.items():
        if (pairs := counts.get(name.replace(ENOUGH, COUNT) + PAIRS)) is not None:
            enough[name] = _that_differ(plan, flags, np.asarray(_none_or(least, pairs).all(axis=-1)))
    found = {name: flags.astype(np.float64) for name, flags in enough.items()}
    if (either := counts.get(ANY_LABEL)) is not None:
        name = ENOUGH + "calibrate"
        few = enough[name].mean(axis=-1) < HALF
        found[name][few & (either >= least).all(axis=-1)] = TOGETHER
    return found


def _clear(parts: Floats, least: int) -> Flags:
    """Of which labels nobody or enough patients are behind each part of as-is, as other scenarios can be taken off it.

    parts: [parts, labels, answers].
    """
    clear: Flags = np.all(_none_or(least, parts), axis=(0, -1))
    return clear


def _none_or(least: int, counts: Floats) -> Flags:
    return np.asarray((counts == 0) | (counts >= least))


def _that_differ(plan: Plan, enough: Flags, distinct: Flags) -> Flags:
    """Of these, [rows, labels], those that differ in nobody or enough from any that come before them.

    distinct: [rows, pairs of labels], whether they do.
    """
    kept = enough.copy()
    for at, (one, other) in enumerate(label_pairs(plan)):
        kept[:, other] &= distinct[:, at] | ~kept[:, one]
    return kept


def _lost(plan: Plan, sums: Sums) -> set[str]:
    """Modalities without which the sites go on, so that their cases are of other parts than was counted."""
    if not plan.privacy.least_sites_per_block:
        return set()
    return {modality for modality in plan.dims if f"norm.{modality}.mean" not in sums}


def _as_one_left(plan: Plan, flags: Flags, lost: set[str]) -> Flags:
    """As-is is what the only modality left tells; of several nobody has counted the parts."""
    left = [place for place, modality in enumerate(plan.dims, 1) if modality not in lost]
    return flags[left[0]] if len(left) == 1 else np.zeros_like(flags[0])


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
