"""How many of this site's patients have each answer: a part of the first task, where the plan asks.

Counted are those of whom second moments, evaluation and calibration would tell, and no others: a site gives nothing
there of what is below its floor.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedfin.model.answer_counts import ANSWERS, COUNT, COUNTED, count_shapes, label_moments
from fedfin.model.model_spec import pattern_row, scenarios
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor, Mask
from fedfin_edge.cases.k_anonymity import combinations_of, k_anonymous
from fedfin_edge.cases.scenarios import judging
from fedfin_edge.tasks.moment_parts import moments

Counts = NDArray[np.int64]


def count_answers(plan: Plan, dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `answer_counts.count_shapes`, up to what the plan asks for, and 1 for each: the site."""
    ways = {"evaluate": _evaluation, "calibrate": _calibration, "second_moments": _training}
    counts = {name: np.zeros(shape, np.float32) for name, shape in count_shapes(plan).items()}
    for task in (task for task in COUNTED if COUNT + task in counts):
        for row, floor, kinds in ways[task](plan, dataset):
            counts[COUNT + task][row] = np.minimum(_behind(floor, kinds), plan.privacy.least_answers or 0)
    return counts, dict.fromkeys(counts, 1)


class _Group(NamedTuple):
    """What one row counts: whose the cases are, and of which kind each is, bool [cases, ...]."""

    row: int
    floor: Floor
    kinds: NDArray[np.bool_]


def _evaluation(plan: Plan, dataset: Dataset) -> Iterator[_Group]:
    """Scenario by scenario; then by what they have exactly."""
    rows = {name: at for at, name in enumerate(scenarios(plan))}
    for scenario, chosen, labels in judging(plan, dataset):
        yield _Group(rows[scenario.name], dataset.floor.of(chosen), _answers(labels))
    kept, labels = k_anonymous(plan, dataset, dataset.held_out)
    for row, alike in _combinations(plan, dataset, kept):
        yield _Group(len(rows) + row, dataset.floor.of(alike), _answers(labels[alike]))


def _calibration(plan: Plan, dataset: Dataset) -> Iterator[_Group]:
    """By what is shown of cases that have it, who has either answer of any label; then by what they have exactly."""
    kept, labels = k_anonymous(plan, dataset, dataset.calibration_held_out)
    of_any = np.asarray(_answers(labels).any(axis=1))
    rows = 1 << len(plan.dims)
    for row, alike in _combinations(plan, dataset, kept):
        yield _Group(rows + row, dataset.floor.of(alike), of_any[alike])
    for shown in list(product((False, True), repeat=len(plan.dims)))[1:]:
        asked = [m for m, is_shown in zip(plan.dims, shown, strict=True) if is_shown]
        has = np.logical_and.reduce([kept, *(dataset.present[m] for m in asked)])
        yield _Group(pattern_row(shown), dataset.floor.of(has), of_any[has])


def _combinations(plan: Plan, dataset: Dataset, cases: Mask) -> Iterator[tuple[int, Mask]]:
    """These cases, bool [n], by what they have exactly, each with its pattern's row."""
    present = {modality: dataset.present[modality] for modality in plan.dims}
    for alike in combinations_of(cases, present):
        yield pattern_row([bool(mask[alike].any()) for mask in present.values()]), alike


def _training(plan: Plan, dataset: Dataset) -> Iterator[_Group]:
    """By label moment."""
    floor, places = dataset.floor.of(~dataset.held_out), {n: at for at, n in enumerate(label_moments(plan))}
    for moment in moments(plan, dataset):
        if moment.labels is not None:
            unknown = np.isnan(moment.labels)[:, :, None]
            kinds = np.concatenate([_answers(moment.labels), unknown], axis=2)
            yield _Group(places[moment.name], floor.of(moment.held), kinds)


def _answers(labels: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Of [cases, labels], NaN where nothing is told, whose answer is which: [cases, labels, answers]."""
    return np.stack([labels == answer for answer in range(ANSWERS)], axis=2)


def _behind(floor: Floor, of: NDArray[np.bool_]) -> Counts:
    """How many patients have any case of each kind; of: bool [n, ...]."""
    if not len(of):
        return np.zeros(of.shape[1:], np.int64)
    order = np.argsort(floor.patient, kind="stable")
    first = np.flatnonzero(np.diff(floor.patient[order], prepend=-1))  # of each patient's cases
    counts: Counts = np.logical_or.reduceat(of[order], first, axis=0).sum(axis=0)
    return counts
