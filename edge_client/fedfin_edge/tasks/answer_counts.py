"""How many of this site's patients have each answer: a part of the first task, where the plan asks.

Counted are those of whom second moments, evaluation and calibration would tell, and no others: a site gives nothing
there of what is below its floor.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fedfin.model.answer_counts import ANSWERS, COUNT, PAIRS, count_shapes, label_moments, label_pairs
from fedfin.model.model_spec import pattern_row
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.scenarios import Scenario, judging, scenarios
from fedfin_edge.tasks.moment_parts import moments

Labels = NDArray[np.float32]
Counts = NDArray[np.int64]


def count_answers(plan: Plan, dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `answer_counts.count_shapes`, up to what the plan asks for, and 1 for each: the site."""
    ways = {
        COUNT + "evaluate": _of_evaluation,
        COUNT + "calibrate": _of_calibration,
        COUNT + "second_moments": _of_training,
        PAIRS: _of_label_pairs,
    }
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


def _of_training(plan: Plan, dataset: Dataset) -> Counts:
    """By label moment, those of each kind, [label moments, labels, KINDS]."""
    counts = np.zeros(count_shapes(plan)[COUNT + "second_moments"], np.int64)
    for row, floor, kinds in _training(plan, dataset):
        counts[row] = _behind(floor, kinds)
    return counts


def _of_label_pairs(plan: Plan, dataset: Dataset) -> Counts:
    """By label moment, who is of a kind of one label, or of one of the other, and not of both, [..., KINDS ** 2]."""
    counts = np.zeros(count_shapes(plan)[PAIRS], np.int64)
    for row, floor, kinds in _training(plan, dataset):
        for at, (one, other) in enumerate(label_pairs(plan)):
            differ = kinds[:, one, :, None] != kinds[:, other, None, :]
            counts[row, at] = _behind(floor, differ).ravel()
    return counts


def _training(plan: Plan, dataset: Dataset) -> Iterator[tuple[int, Floor, NDArray[np.bool_]]]:
    """Of each label moment the place, its cases' patients, and of which kind they are, bool [cases, labels, KINDS]."""
    floor, places = dataset.floor.of(~dataset.held_out), {n: at for at, n in enumerate(label_moments(plan))}
    for moment in moments(plan, dataset):
        if moment.labels is not None:
            kinds = [moment.labels == 0, moment.labels == 1, np.isnan(moment.labels)]
            yield places[moment.name], floor.of(moment.held), np.stack(kinds, axis=2)


def _spread(labels: Labels, chosen: NDArray[np.bool_]) -> Labels:
    """Of some cases, bool [n], to all: NaN elsewhere, [n, labels]."""
    every = np.full((len(chosen), labels.shape[1]), np.nan, np.float32)
    every[chosen] = labels
    return every


def _patients(floor: Floor, labels: Labels) -> Counts:
    """How many have each answer in any case, [labels, answers]; labels: [n, labels]."""
    return _behind(floor, np.stack([labels == answer for answer in range(ANSWERS)], axis=2))


def _behind(floor: Floor, of: NDArray[np.bool_]) -> Counts:
    """How many patients have any case of each kind; of: bool [n, ...]."""
    if not len(of):
        return np.zeros(of.shape[1:], np.int64)
    order = np.argsort(floor.patient, kind="stable")
    first = np.flatnonzero(np.diff(floor.patient[order], prepend=-1))  # of each patient's cases
    counts: Counts = np.logical_or.reduceat(of[order], first, axis=0).sum(axis=0)
    return counts
