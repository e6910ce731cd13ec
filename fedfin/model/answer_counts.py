"""How many patients of all sites have each answer: counted in the first sum, so that later ones leave out few.

Where a plan says `privacy.least_answers`, each site counts its patients up to that number, as more would tell no more:

count.evaluate    [scenarios and parts, labels, answers], those that are held out
count.calibrate   [patterns, labels, answers], those that calibrate

Of their sums the model says, 1 or 0, whether enough patients have both answers:

enough.evaluate   [scenarios, labels]
enough.calibrate  [patterns, labels]

Parts: a case that `as-is` and another scenario show alike has one score in both histograms, so that their difference is
that of the other cases. So the cases of `as-is` are counted by which scenario shows them alike, too, the last part
being those that none does; nobody or enough patients must be behind each.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from fedfin.codec import Shape
from fedfin.plan import Plan

Counted = Literal["evaluate", "calibrate"]
COUNTED: tuple[Counted, ...] = get_args(Counted)
COUNT, ENOUGH = "count.", "enough."
ANSWERS = 2
_PARTS = 2  # as many as scenarios: one for each other scenario, and what is left


def count_shapes(plan: Plan) -> dict[str, Shape]:
    """What sites count, by tensor; nothing where the plan does not ask."""
    rows = _rows(plan)
    sizes = {task: (_PARTS if task == "evaluate" else 1) * len(rows[task]) for task in rows}
    return {COUNT + task: (size, len(plan.labels), ANSWERS) for task, size in sizes.items()}


def enough_shapes(plan: Plan) -> dict[str, Shape]:
    """What the model says of it, by tensor."""
    return {ENOUGH + task: (len(rows), len(plan.labels)) for task, rows in _rows(plan).items()}


def suppressed(plan: Plan, task: str, model: Mapping[str, NDArray[Any]]) -> list[str]:
    """In words, which labels a sum of this task is without, and where, as too few patients have one of the answers."""
    if (rows := _rows(plan).get(task)) is None:  # type: ignore[call-overload]  # of other tasks there are none
        return []
    enough = model[ENOUGH + task] > 0
    asked = [place for place, row in enumerate(rows) if row]  # no case shows nothing
    return [
        label if not enough[asked, at].any() else f"{label} of {', '.join(lost)}"
        for at, label in enumerate(plan.labels)
        if (lost := [rows[place] for place in asked if not enough[place, at]])
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
    return rows


def _patterns(plan: Plan) -> Iterator[str]:
    """As `model_spec.pattern_row` counts them: the first modality changes first."""
    for shown in product((False, True), repeat=len(plan.dims)):
        yield " + ".join(name for name, is_shown in zip(plan.dims, reversed(shown), strict=True) if is_shown)
