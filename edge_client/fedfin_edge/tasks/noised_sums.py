"""Tasks of a plan whose sums have noise: each patient clipped, the site's sum in whole steps, its share of the noise.

Every tensor is sent, whatever the site has, with weight 1; how many cases there are is itself in the sum, under noise.
"""

import math
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Shape
from fedfin.errors import StateError
from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import CALIBRATION, SUMMED_BINS, Task, task_specs
from fedfin.model.second_moment_spec import OTHER_HALF
from fedfin.plan import Plan
from fedfin.privacy import contributions
from fedfin.privacy.clipping import MOST_PATIENTS, STEPS, by_patient, in_steps
from fedfin.privacy.discrete_gaussian import discrete_gaussian
from fedfin.privacy.shared_noise import share_of
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.scenarios import scenarios
from fedfin_edge.tasks.calibrate import case_scores
from fedfin_edge.tasks.evaluate import answer, score_bins
from fedfin_edge.tasks.second_moments import standardised_basis

Rows = NDArray[np.intp]
Integers = NDArray[np.int64]
Tensors = dict[str, NDArray[np.float32]]
Of = Callable[
    [Rows], dict[str, NDArray[np.float64]]
]  # what each of these cases adds, by tensor, [cases, ...]

_BLOCK_VALUES = 1 << 22  # at a time: some 100 MB with what is made of them


def noised_second_moments(model: FusionModel, plan: Plan, dataset: Dataset) -> Tensors:
    """Of fedfin/privacy/contributions.py, over the training cases; either half of the patients has its own noise."""
    train = ~dataset.held_out
    basis, present = standardised_basis(model, plan, dataset, np.ones(len(dataset), np.bool_))
    labels = dataset.labels.astype(np.float64)

    def of(rows: Rows) -> dict[str, NDArray[np.float64]]:
        return contributions.second_moments(
            plan,
            {m: b[rows] for m, b in basis.items()},
            {m: p[rows] for m, p in present.items()},
            labels[rows],
        )

    shapes = task_specs(plan, "second_moments")
    first = {name: shape for name, shape in shapes.items() if not name.startswith(OTHER_HALF)}
    second = train & dataset.in_second_half
    tensors = noised_sum(plan, "second_moments", first, dataset, np.flatnonzero(train & ~second), of)
    other = noised_sum(plan, "second_moments", first, dataset, np.flatnonzero(second), of)
    return tensors | {OTHER_HALF + name: values for name, values in other.items()}


def noised_histograms(model: FusionModel, plan: Plan, dataset: Dataset) -> Tensors:
    """How many held-out cases got which score, by scenario: in units of the norm, each patient clipped."""
    shapes, scale = task_specs(plan, "evaluate"), contributions.count_scale(plan)
    shown = list(scenarios({m: dataset.present[m] for m in plan.dims}))

    def of(rows: Rows) -> dict[str, NDArray[np.float64]]:
        counts = {}
        for scenario in shown:
            bins = score_bins(answer(model, plan, dataset, rows, scenario.present), SUMMED_BINS)
            counts[f"eval.{scenario.name}"] = scale * _counted(
                bins, dataset.labels[rows], scenario.cases[rows]
            )
        return counts

    return noised_sum(plan, "evaluate", shapes, dataset, np.flatnonzero(dataset.held_out), of)


def noised_scores(model: FusionModel, plan: Plan, dataset: Dataset) -> Tensors:
    """What head and experts say of the cases kept for calibration, in units of the norm, each patient clipped."""
    scale = contributions.score_scale(plan)

    def of(rows: Rows) -> dict[str, NDArray[np.float64]]:
        return {CALIBRATION: scale * case_scores(model, plan, dataset, rows)}

    rows = np.flatnonzero(dataset.calibration_held_out)
    return noised_sum(plan, "calibrate", task_specs(plan, "calibrate"), dataset, rows, of)


def _counted(bins: Integers, labels: NDArray[np.float32], cases: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 where each case's score counts, by true label: bins, labels [n, labels], cases [n] to [n, labels, 2, bins]."""
    of_class = np.stack([labels == 0, labels == 1], axis=2) & cases[:, None, None]
    in_bin = bins[..., None] == np.arange(SUMMED_BINS)
    counted: NDArray[np.float64] = (of_class[..., None] & in_bin[:, :, None]).astype(np.float64)
    return counted


def noised_sum(
    plan: Plan, task: Task, shapes: dict[str, Shape], dataset: Dataset, rows: Rows, of: Of
) -> Tensors:
    """The clipped sum of what these cases add, with noise; in units of the norm, exact in float32."""
    names, sizes = list(shapes), [math.prod(shape) for shape in shapes.values()]
    total = np.zeros(sum(sizes), np.int64)
    for block in _blocks(dataset.patient_numbers, rows, max(1, _BLOCK_VALUES // total.size)):
        cases = of(block)
        flat = np.concatenate([cases[name].reshape(len(block), -1) for name in names], axis=1)
        total += in_steps(by_patient(flat, dataset.patient_numbers[block]), contributions.NORM).sum(axis=0)
    total += discrete_gaussian(share_of(plan, task), total.size)
    values = (total / STEPS).astype(np.float32)
    places = pairwise(accumulate(sizes, initial=0))
    return {
        name: values[start:end].reshape(shapes[name])
        for name, (start, end) in zip(names, places, strict=True)
    }


def _blocks(patients: Integers, rows: Rows, most: int) -> Iterator[Rows]:
    """The rows in parts of some `most` cases, all of a patient's in one. Raises StateError for too many patients."""
    order = rows[np.argsort(patients[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(patients[order], prepend=-1))  # of each patient's cases
    if len(starts) > MOST_PATIENTS:
        raise StateError(
            f"the site has {len(starts):,} patients on one side of its split; an exact sum with noise is for"
            f" {MOST_PATIENTS:,} at most: split the case table over two sites"
        )
    cuts = [0]
    for start in starts[1:].tolist():
        if start - cuts[-1] >= most:
            cuts.append(start)
    yield from (order[start:end] for start, end in pairwise([*cuts, len(order)]) if end > start)
