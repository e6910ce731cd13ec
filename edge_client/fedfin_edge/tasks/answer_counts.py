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
from fedfin.model.model_spec import pattern_row
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.scenarios import Scenario, calibrating, judging, scenarios
from fedfin_edge.tasks.moment_parts import moments

Labels = NDArray[np.float32]
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
    """Scenario by scenario, then as-is by which other one shows its cases alike."""
    given = {one.name: _spread(labels, chosen) for one, chosen, labels in judging(plan, dataset)}
    nothing = np.full(dataset.labels.shape, np.nan, np.float32)
    shown = list(scenarios({modality: dataset.present[modality] for modality in plan.dims}))
    rows = [given.get(one.name, nothing) for one in shown]
    for row, labels in enumerate((*rows, *_parts(shown, rows))):
        yield _Group(row, dataset.floor, _answers(labels))


def _parts(shown: list[Scenario], rows: list[Labels]) -> Iterator[Labels]:
    """Of what the last scenario tells, what each other one tells of a case it shows alike; and what none does."""
    (*others, last), (*given, left) = shown, rows
    for one, labels in zip(others, given, strict=True):
        alike = np.logical_and.reduce([one.present[m] == mask for m, mask in last.present.items()])
        shared = (one.cases & alike)[:, None] & ~np.isnan(labels)
        yield np.where(shared, left, np.nan)
        left = np.where(shared, np.nan, left)
    yield left


def _calibration(plan: Plan, dataset: Dataset) -> Iterator[_Group]:
    """By what is shown of cases that have it, who has either answer of any label: as calibrate.py measures them.

    Then by what they have exactly.
    """
    cases = calibrating(plan, dataset)
    if not dataset.floor.allows(cases):
        return
    floor, labels = dataset.floor.of(cases), dataset.judged_labels(cases, summed=plan.privacy.summed)
    present = np.stack([dataset.present[m][cases] for m in plan.dims])
    patterns = list(product((False, True), repeat=len(plan.dims)))
    for shown in patterns[1:]:
        has = present[np.array(shown)].all(axis=0)
        known = labels[has]
        if plan.privacy.least_sites_per_block:  # there the floor is asked in each pattern
            known = floor.of(has).without_unfamiliar(known)
        yield _Group(pattern_row(shown), floor.of(has), _of_any(known))
        exactly = (present == np.array(shown)[:, None]).all(axis=0)
        yield _Group(len(patterns) + pattern_row(shown), floor.of(exactly), _of_any(labels[exactly]))


def _training(plan: Plan, dataset: Dataset) -> Iterator[_Group]:
    """By label moment."""
    floor, places = dataset.floor.of(~dataset.held_out), {n: at for at, n in enumerate(label_moments(plan))}
    for moment in moments(plan, dataset):
        if moment.labels is not None:
            unknown = np.isnan(moment.labels)[:, :, None]
            kinds = np.concatenate([_answers(moment.labels), unknown], axis=2)
            yield _Group(places[moment.name], floor.of(moment.held), kinds)


def _of_any(labels: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Who has which answer of any label, [cases, answers]."""
    return np.asarray(_answers(labels).any(axis=1))


def _answers(labels: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Of [cases, labels], NaN where nothing is told, whose answer is which: [cases, labels, answers]."""
    return np.stack([labels == answer for answer in range(ANSWERS)], axis=2)


def _spread(labels: Labels, chosen: NDArray[np.bool_]) -> Labels:
    """Of some cases, bool [n], to all: NaN elsewhere, [n, labels]."""
    every = np.full((len(chosen), labels.shape[1]), np.nan, np.float32)
    every[chosen] = labels
    return every


def _behind(floor: Floor, of: NDArray[np.bool_]) -> Counts:
    """How many patients have any case of each kind; of: bool [n, ...]."""
    if not len(of):
        return np.zeros(of.shape[1:], np.int64)
    order = np.argsort(floor.patient, kind="stable")
    first = np.flatnonzero(np.diff(floor.patient[order], prepend=-1))  # of each patient's cases
    counts: Counts = np.logical_or.reduceat(of[order], first, axis=0).sum(axis=0)
    return counts
