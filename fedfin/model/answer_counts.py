"""How many patients of all sites have each answer: counted in the first sum, so that later ones leave out few.

Where a plan says `privacy.least_answers`, each site counts its patients up to that number, as more would tell no more:

count.evaluate        [scenarios and parts, labels, answers], those that are held out
count.calibrate       [patterns, labels, answers], those that calibrate
count.second_moments  [label moments, labels, KINDS], those that train: without it, with it, unknown

Of their sums the model says, 1 or else, whether enough patients have both answers:

enough.evaluate        [scenarios, labels]
enough.calibrate       [patterns, labels]
enough.second_moments  [label moments, labels]: and nobody, or enough, are unknown

NOBODY stands where no patient of any site is behind a scenario, pattern or label moment: none is missed there.

Of a pattern in which that is so of fewer than half of the labels enough.calibrate is TOGETHER where enough have either
answer of any one label: all labels are measured in one.

Parts: a case that `as-is` and another scenario show alike has one score in both histograms, so that their difference is
that of the other cases. So the cases of `as-is` are counted by which scenario shows them alike, too, the last part
being those that none does; nobody or enough patients must be behind each.

Each label is counted by itself. Who has two of them would tell of the one patient with a rare finding what else he has.
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
TOGETHER, NOBODY = 2.0, -1.0
ANSWERS, KINDS = 2, 3
_PARTS = 2  # as many as scenarios: one for each other scenario, and what is left


def count_shapes(plan: Plan) -> dict[str, Shape]:
    """What sites count, by tensor; nothing where the plan does not ask."""
    rows = _rows(plan)
    sizes = {task: (_PARTS if task == "evaluate" else 1) * len(rows[task]) for task in rows}
    return {COUNT + task: (size, len(plan.labels), kinds_of(task)) for task, size in sizes.items()}


def kinds_of(task: Counted) -> int:
    """Whether only answers are told of, or all cases, too, so that those are of whom a label is unknown."""
    return KINDS if task == "second_moments" else ANSWERS


def enough_shapes(plan: Plan) -> dict[str, Shape]:
    """What the model says of it, by tensor."""
    return {ENOUGH + task: (len(rows), len(plan.labels)) for task, rows in _rows(plan).items()}


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
    asked = [place for place, row in enumerate(rows) if row and (flags[place] != NOBODY).any()]
    return [
        label if len(lost) == len(asked) else f"{label} of {', '.join(lost)}"
        for at, label in enumerate(plan.labels)
        if (lost := [rows[place] for place in asked if flags[place, at] == 0])
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
        kinds = product(("first", "second"), ("complete", "other"), plan.dims)
        rows["second_moments"] = tuple(f"{m} ({kind} cases, {half} half)" for half, kind, m in kinds)
    return rows


def _patterns(plan: Plan) -> Iterator[str]:
    """As `model_spec.pattern_row` counts them: the first modality changes first."""
    for shown in product((False, True), repeat=len(plan.dims)):
        yield " + ".join(name for name, is_shown in zip(plan.dims, reversed(shown), strict=True) if is_shown)
