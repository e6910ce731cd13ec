"""How many patients of all sites have each answer: counted in the first sum, so that later ones leave out few.

Where a plan says `privacy.least_answers`, each site counts its patients up to that number, as more would tell no more:

count.evaluate        [scenarios and parts, labels, answers], those that are held out
count.calibrate       [patterns and combinations, answers], those that calibrate, by answers of any label
count.second_moments  [label moments, labels, KINDS], those that train: without it, with it, unknown

Of their sums the model says, 1 or 0, whether enough patients have both answers, or NOBODY where none is behind:

enough.evaluate        [scenarios, labels]
enough.calibrate       [patterns]
enough.second_moments  [label moments, labels]: and nobody, or enough, are unknown

Calibration is of few, of whom few have any one label: all labels are measured in one (fedfin_edge/tasks/calibrate.py).

Parts: a case that `as-is` and another scenario show alike has one score in both histograms, so that their difference is
that of the other cases. So the cases of `as-is` are counted by which scenario shows them alike, too, the last part
being those that none does; nobody or enough patients must be behind each. And where a modality tells nothing, cases
have one score with and without it: so behind each part of a single modality's scenario, too.

Combinations: of a pattern are all who have its modalities, whatever else they have. For the same reason nobody or
enough patients must be behind each combination that is exactly what they have.

Of the same patients no two numbers are counted that say who has two labels: of the one patient with a rare finding they
would tell what else he has.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from fedfin.codec import Shape
from fedfin.model.fin_spec import CLOSED_FORMS, fin_variant
from fedfin.model.second_moment_spec import OTHER_HALF, POPULATIONS, label_moment_name
from fedfin.plan import Plan

Counted = Literal["evaluate", "calibrate", "second_moments"]
COUNTED: tuple[Counted, ...] = get_args(Counted)
COUNT, ENOUGH = "count.", "enough."
NOBODY = -1.0
ANY_LABEL = "any label"
ANSWERS, KINDS = 2, 3
_PARTS = 2  # as many parts as scenarios, and combinations as patterns: what is told, then what it is made of


def count_shapes(plan: Plan) -> dict[str, Shape]:
    """What sites count, by tensor; nothing where the plan does not ask."""
    rows, labels = _rows(plan), len(plan.labels)
    shapes: dict[Counted, Shape] = {
        "evaluate": (_PARTS * len(rows.get("evaluate", ())), labels, ANSWERS),
        "calibrate": (_PARTS * len(rows.get("calibrate", ())), ANSWERS),
        "second_moments": (len(rows.get("second_moments", ())), labels, KINDS),
    }
    return {COUNT + task: shapes[task] for task in rows}


def enough_shapes(plan: Plan) -> dict[str, Shape]:
    """What the model says of it, by tensor."""
    labels = (len(plan.labels),)
    return {
        ENOUGH + task: (len(rows), *(() if task == "calibrate" else labels))
        for task, rows in _rows(plan).items()
    }


def counts_training(plan: Plan) -> bool:
    """Whether who trains is counted, too: not where sites say by bits, which others see, to what they give.

    There each site asks its own floor.
    """
    solved = fin_variant(plan) in CLOSED_FORMS or plan.model.answer != "head"
    return bool(plan.privacy.least_answers and not plan.privacy.least_sites_per_block and solved)


def label_moments(plan: Plan) -> tuple[str, ...]:
    """The tensors of second_moment_spec.py that hold labels, in the order in which they are counted."""
    names = product(("", OTHER_HALF), POPULATIONS, plan.dims)
    return tuple(half + label_moment_name(population, modality) for half, population, modality in names)


def suppressed(plan: Plan, task: str, model: Mapping[str, NDArray[Any]]) -> list[str]:
    """In words, which labels a sum of this task is without, and where, as too few patients have one of the answers."""
    if (rows := _rows(plan).get(task)) is None:  # type: ignore[call-overload]  # of other tasks there are none
        return []
    flags = model[ENOUGH + task]
    asked = {place: row for place, row in enumerate(rows) if row and (flags[place] != NOBODY).any()}
    if task == "calibrate":
        return [f"{ANY_LABEL} of {row}" for place, row in asked.items() if flags[place] == 0]
    everywhere = set(asked.values())
    return [
        label if lost.keys() == everywhere else f"{label} of {', '.join(lost)}"
        for at, label in enumerate(plan.labels)
        if (lost := {row: None for place, row in asked.items() if flags[place, at] == 0})
    ]


def _rows(plan: Plan) -> dict[Counted, tuple[str, ...]]:
    """By task, what is told apart: scenarios in their order, and patterns of shown modalities in that of their rows."""
    if not plan.privacy.least_answers:
        return {}
    rows: dict[Counted, tuple[str, ...]] = {
        "evaluate": ("all", *(f"only-{modality}" for modality in plan.dims), "as-is")
    }
    if plan.model.answer == "both":
        rows["calibrate"] = tuple(_patterns(plan))
    if counts_training(plan):
        rows["second_moments"] = tuple(
            f"{cases}, {half} half"
            for half in ("first", "second")
            for cases in (*["complete cases"] * len(plan.dims), *(f"other cases with {m}" for m in plan.dims))
        )
    return rows


def _patterns(plan: Plan) -> Iterator[str]:
    """As `model_spec.pattern_row` counts them: the first modality changes first."""
    for shown in product((False, True), repeat=len(plan.dims)):
        yield " + ".join(name for name, is_shown in zip(plan.dims, reversed(shown), strict=True) if is_shown)
