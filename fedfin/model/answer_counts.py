"""How many patients of all sites have each answer: counted in the first sum, so that later ones leave out few.

Where a plan says `privacy.least_answers`, each site counts its patients up to that number, as more would tell no more:

count.evaluate        [scenarios and combinations, labels, answers], those that are held out
count.calibrate       [patterns and combinations, answers], those that calibrate, by answers of any label
count.second_moments  [label moments, labels, KINDS], those that train: without it, with it, unknown

Of their sums the model says, 1 or 0, whether enough patients have both answers, or NOBODY where none is behind:

enough.evaluate        [scenarios, labels]
enough.calibrate       [patterns]
enough.second_moments  [label moments, labels]: and nobody, or enough, are unknown

Calibration is of few, of whom few have any one label: all labels are measured in one (fedfin_edge/tasks/calibrate.py).

Combinations: what cases have exactly. A scenario or a pattern is of all that have some modalities, whatever else they
have. A case has one score where two of them show it alike, or where a modality tells nothing; so their difference is
that of the combinations of which one of them alone is. Nobody or enough patients must be behind each.

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


def count_shapes(plan: Plan) -> dict[str, Shape]:
    """What sites count, by tensor; nothing where the plan does not ask."""
    rows, labels = _rows(plan), len(plan.labels)
    combinations = 1 << len(plan.dims)
    shapes: dict[Counted, Shape] = {
        "evaluate": (len(rows.get("evaluate", ())) + combinations, labels, ANSWERS),
        "calibrate": (len(rows.get("calibrate", ())) + combinations, ANSWERS),
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
