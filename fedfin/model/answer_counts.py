"""How many patients of all sites have each answer: counted in the first sum, so that later ones leave out few.

Where a plan says `privacy.least_answers`, each site counts its patients up to that number, as more would tell no more:

count.evaluate        [scenarios and parts, labels, answers], those that are held out
count.calibrate       [patterns, labels, answers], those that calibrate
count.any_label       [patterns, answers], those that calibrate and have this answer of any label
count.second_moments  [label moments, labels, KINDS], those that train: without it, with it, unknown
count.*_pairs         [rows, pairs of labels, kinds of one and of the other], in how many these differ; without parts

Of their sums the model says, 1 or 0, whether enough patients have both answers:

enough.evaluate        [scenarios, labels]
enough.calibrate       [patterns, labels]
enough.second_moments  [label moments, labels]: and nobody, or enough, are unknown

And nobody, or enough, differ from any other such label. Of a pattern in which that is so of fewer than half of the
labels enough.calibrate is TOGETHER where enough have either answer of any label: all labels are measured in one.

Parts: a case that `as-is` and another scenario show alike has one score in both histograms, so that their difference is
that of the other cases. So the cases of `as-is` are counted by which scenario shows them alike, too, the last part
being those that none does; nobody or enough patients must be behind each.

Pairs: the moments of those whom one label is true of, less those of another label, are those of the patients in whom
the two differ. So are histograms and calibration of two labels that are the same in training, and have the same scores.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from fedfin.codec import Shape
from fedfin.model.fin_spec import CLOSED_FORMS, fin_variant
from fedfin.model.second_moment_spec import OTHER_HALF, POPULATIONS, label_moment_name
from fedfin.plan import Plan

Counted = Literal["evaluate", "calibrate", "second_moments"]
COUNTED: tuple[Counted, ...] = get_args(Counted)
COUNT, ENOUGH, PAIRS = "count.", "enough.", "_pairs"
ANY_LABEL, TOGETHER = "count.any_label", 2.0
ANSWERS, KINDS = 2, 3
MOST_LABELS = 32  # each two of which are counted: of two modalities 0.4 MB of a masked sum
_PARTS = 2  # as many as scenarios: one for each other scenario, and what is left


def count_shapes(plan: Plan) -> dict[str, Shape]:
    """What sites count, by tensor; nothing where the plan does not ask."""
    shapes: dict[str, Shape] = {}
    pairs = len(label_pairs(plan)) if _compares_labels(plan) else 0
    for task, rows in _rows(plan).items():
        size, kinds = (_PARTS if task == "evaluate" else 1) * len(rows), kinds_of(task)
        shapes[COUNT + task] = (size, len(plan.labels), kinds)
        if pairs:
            shapes[COUNT + task + PAIRS] = (len(rows), pairs, kinds**2)
        if task == "calibrate" and not plan.privacy.least_sites_per_block:
            shapes[ANY_LABEL] = (len(rows), ANSWERS)
    return shapes


def kinds_of(task: Counted) -> int:
    """Whether only answers are told of, or all cases, too, so that those are of whom a label is unknown."""
    return KINDS if task == "second_moments" else ANSWERS


def enough_shapes(plan: Plan) -> dict[str, Shape]:
    """What the model says of it, by tensor."""
    return {ENOUGH + task: (len(rows), len(plan.labels)) for task, rows in _rows(plan).items()}


def counts_training(plan: Plan) -> bool:
    """Whether who trains is counted, too: not where sites say by bits, which others see, to what they give.

    Nor of more labels than MOST_LABELS. There each site asks its own floor.
    """
    solved = fin_variant(plan) in CLOSED_FORMS or plan.model.answer != "head"
    return bool(plan.privacy.least_answers and solved and _compares_labels(plan))


def _compares_labels(plan: Plan) -> bool:
    return not plan.privacy.least_sites_per_block and len(plan.labels) <= MOST_LABELS


def label_moments(plan: Plan) -> tuple[str, ...]:
    """The tensors of second_moment_spec.py that hold labels, in the order in which they are counted."""
    names = product(("", OTHER_HALF), POPULATIONS, plan.dims)
    return tuple(half + label_moment_name(population, modality) for half, population, modality in names)


def label_pairs(plan: Plan) -> list[tuple[int, int]]:
    """The places of each two labels, in the order in which they are counted."""
    return list(combinations(range(len(plan.labels)), 2))


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
    if counts_training(plan):
        kinds = product(("a half", "the other half"), ("complete", "other"), plan.dims)
        rows["second_moments"] = tuple(f"{m} of {half} of {kind} patients" for half, kind, m in kinds)
    return rows


def _patterns(plan: Plan) -> Iterator[str]:
    """As `model_spec.pattern_row` counts them: the first modality changes first."""
    for shown in product((False, True), repeat=len(plan.dims)):
        yield " + ".join(name for name, is_shown in zip(plan.dims, reversed(shown), strict=True) if is_shown)
