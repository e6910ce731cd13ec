"""How many of this site's patients have each answer: a part of the first task, where the plan asks.

Counted are those of whom evaluation and calibration would tell, and no others: a site gives nothing there of what is
below its floor.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fedfin.model.answer_counts import ANSWERS, COUNT, count_shapes
from fedfin.model.model_spec import pattern_row
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.scenarios import Scenario, judging, scenarios

Labels = NDArray[np.float32]
Counts = NDArray[np.int64]


def count_answers(plan: Plan, dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `answer_counts.count_shapes`, up to what the plan asks for, and 1 for each: the site."""
    ways = {COUNT + "evaluate": _of_evaluation, COUNT + "calibrate": _of_calibration}
    most, shapes = plan.privacy.least_answers or 0, count_shapes(plan)
    counts = {
        name: np.minimum(ways[name](plan, dataset), most).astype(np.float32).reshape(shape)
        for name, shape in shapes.items()
    }
    return counts, dict.fromkeys(counts, 1)


def _of_evaluation(plan: Plan, dataset: Dataset) -> Counts:
    """Scenario by scenario, then as-is by which other one shows its cases alike, [rows, labels, answers]."""
    given = {one.name: _spread(labels, chosen) for one, chosen, labels in judging(plan, dataset)}
    nothing = np.full(dataset.labels.shape, np.nan, np.float32)
    shown = list(scenarios({modality: dataset.present[modality] for modality in plan.dims}))
    rows = [given.get(one.name, nothing) for one in shown]
    return np.stack([_patients(dataset.floor, labels) for labels in (*rows, *_parts(shown, rows))])


def _parts(shown: list[Scenario], rows: list[Labels]) -> Iterator[Labels]:
    """Of what the last scenario tells, what each other one tells of a case it shows alike; and what none does."""
    (*others, last), (*given, left) = shown, rows
    for one, labels in zip(others, given, strict=True):
        alike = np.logical_and.reduce([one.present[m] == mask for m, mask in last.present.items()])
        shared = (one.cases & alike)[:, None] & ~np.isnan(labels)
        yield np.where(shared, left, np.nan)
        left = np.where(shared, np.nan, left)
    yield left


def _of_calibration(plan: Plan, dataset: Dataset) -> Counts:
    """By what is shown of cases that have it, [patterns, labels, answers]: as calibrate.py measures them."""
    cases = dataset.calibration_held_out
    counts = np.zeros((2 ** len(plan.dims), len(plan.labels), ANSWERS), np.int64)
    if not dataset.floor.allows(cases):
        return counts
    floor, labels = dataset.floor.of(cases), dataset.judged_labels(cases, summed=plan.privacy.summed)
    present = np.stack([dataset.present[m][cases] for m in plan.dims])
    for shown in list(product((False, True), repeat=len(plan.dims)))[1:]:
        has = present[np.array(shown)].all(axis=0)
        known = labels[has]
        if plan.privacy.least_sites_per_block:  # there the floor is asked in each pattern
            known = floor.of(has).without_unfamiliar(known)
        counts[pattern_row(shown)] = _patients(floor.of(has), known)
    return counts


def _spread(labels: Labels, chosen: NDArray[np.bool_]) -> Labels:
    """Of some cases, bool [n], to all: NaN elsewhere, [n, labels]."""
    every = np.full((len(chosen), labels.shape[1]), np.nan, np.float32)
    every[chosen] = labels
    return every


def _patients(floor: Floor, labels: Labels) -> Counts:
    """How many have each answer in any case, [labels, answers]; labels: [n, labels]."""
    if not len(labels):
        return np.zeros((labels.shape[1], ANSWERS), np.int64)
    order = np.argsort(floor.patient, kind="stable")
    first = np.flatnonzero(np.diff(floor.patient[order], prepend=-1))  # of each patient's cases
    has = np.stack([labels == answer for answer in range(ANSWERS)], axis=2)[order]
    counts: Counts = np.logical_or.reduceat(has, first, axis=0).sum(axis=0)
    return counts
