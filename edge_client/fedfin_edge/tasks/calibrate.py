"""The task after training: how head and experts answer held-out cases that the head did not train on."""

from dataclasses import replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import CALIBRATION, CALIBRATION_SUMS, pattern_row
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.tasks.alike_labels import alike_labels


def measure_scores(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """The tensor and its number of cases; nothing at a site that holds out fewer patients for it than its floor.

    [patterns, labels, classes, 5]: over these cases, the share of those that show at least the pattern's
    modalities and are of the class, and the means of the head's logit and its square, and of the experts' in deviations
    and its square, seeing these modalities alone. Zeros of a label that fewer patients than the floor have a value of;
    where the site's own are seen, one of the two answers (Dataset.judged_labels). Where the plan asks for sites behind
    every block, so in each pattern. Zeros, too, of what too few patients of all sites have one of the answers of, where
    they were counted; or the mean over all labels, where that is so of most. And of what is scored as another is.
    """
    held_out = dataset.calibration_held_out
    if not dataset.floor.allows(held_out):
        return {}, {}
    rows = np.flatnonzero(held_out)
    labels = dataset.labels.copy()
    labels[rows] = dataset.judged_labels(held_out, summed=plan.privacy.summed)
    labels[:, alike_labels(model, plan, dataset)] = np.nan
    scores = case_scores(model, plan, replace(dataset, labels=labels), rows)
    if plan.privacy.least_sites_per_block:
        scores *= _behind_enough(scores, dataset.floor.of(held_out))
    if model.enough is not None:
        scores *= model.enough.of("calibrate")[..., None, None]
        together = model.enough.measured_together()
        scores[:, together] = _over_labels(scores[:, together], model)
    mean = scores.sum(axis=0) / len(rows)
    return {CALIBRATION: mean.astype(np.float32)}, {CALIBRATION: len(rows)}


def _over_labels(scores: NDArray[np.float64], model: FusionModel) -> NDArray[np.float64]:
    """Of each label the mean over all: nobody sees of which a case is. The head's logits less the labels' own.

    scores: [cases, patterns, labels, classes, CALIBRATION_SUMS].
    """
    assert model.blend is not None, "the plan has experts"
    prior = model.blend.prior.numpy().astype(np.float64)[:, None]
    shares, logits, squares, *experts = np.moveaxis(scores, -1, 0)
    less = logits - prior * shares
    squares = squares - 2 * prior * logits + np.square(prior) * shares
    together = np.stack([shares, less, squares, *experts], axis=-1)
    return np.broadcast_to(together.mean(axis=2, keepdims=True), scores.shape)


def _behind_enough(scores: NDArray[np.float64], floor: Floor) -> NDArray[np.bool_]:
    """Which patterns and labels enough patients are behind, bool [patterns, labels, 1, 1]; scores: of case_scores."""
    counted: NDArray[np.bool_] = scores[..., 0].sum(axis=-1) > 0  # [cases, patterns, labels]
    allowed = [[floor.allows(cases) for cases in pattern.T] for pattern in counted.swapaxes(0, 1)]
    return np.array(allowed)[..., None, None]


def case_scores(
    model: FusionModel, plan: Plan, dataset: Dataset, rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """What each of these cases adds, [cases, patterns, labels, classes, CALIBRATION_SUMS]."""
    patterns = list(product((False, True), repeat=len(plan.dims)))
    scores = np.zeros((len(rows), len(patterns), len(plan.labels), 2, CALIBRATION_SUMS))
    for mask in patterns[1:]:
        asked = [m for m, there in zip(plan.dims, mask, strict=True) if there]
        has = np.logical_and.reduce([dataset.present[m][rows] for m in asked])
        if has.any():  # with eight modalities a site of one has cases of a single pattern of 255
            scores[has, pattern_row(mask)] = _of_pattern(model, plan, dataset, rows[has], asked)
    return scores


def _of_pattern(
    model: FusionModel, plan: Plan, dataset: Dataset, rows: NDArray[np.intp], asked: list[str]
) -> NDArray[np.float64]:
    """Of cases that have these modalities, [cases, labels, classes, CALIBRATION_SUMS]."""
    features = {m: torch.from_numpy(dataset.features[m][rows]) for m in plan.dims}
    shown = {m: torch.full((len(rows),), m in asked) for m in plan.dims}
    with torch.inference_mode():
        head, experts = (
            logits.numpy().astype(np.float64) for logits in model.calibration_logits(features, shown)
        )
    labels = dataset.labels[rows]
    of_class = np.stack([labels == 0, labels == 1], axis=2).astype(np.float64)  # unknown: neither
    powers = np.stack([np.ones_like(head), head, np.square(head), experts, np.square(experts)], axis=2)
    scores: NDArray[np.float64] = of_class[..., None] * powers[:, :, None]
    return scores
