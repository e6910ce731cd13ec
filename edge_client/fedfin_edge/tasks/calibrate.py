"""The task after training: how head and experts answer held-out cases that the head did not train on."""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import CALIBRATION, CALIBRATION_SUMS, pattern_row
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset


def measure_scores(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """The tensor and its number of cases; nothing at a site that holds out fewer patients for it than its floor.

    [patterns, labels, classes, 5]: over these cases, the share of those that show at least the pattern's
    modalities and are of the class, and the means of the head's logit and its square, and of the experts' in deviations
    and its square, seeing these modalities alone.
    """
    if not dataset.floor.allows(dataset.calibration_held_out):
        return {}, {}
    rows = np.flatnonzero(dataset.calibration_held_out)
    patterns = list(product((False, True), repeat=len(plan.dims)))
    scores = np.zeros((len(patterns), len(plan.labels), 2, CALIBRATION_SUMS))
    for mask in patterns[1:]:
        scores[pattern_row(mask)] = _of_pattern(model, plan, dataset, rows, mask) / len(rows)
    return {CALIBRATION: scores.astype(np.float32)}, {CALIBRATION: len(rows)}


def _of_pattern(
    model: FusionModel, plan: Plan, dataset: Dataset, rows: NDArray[np.intp], mask: tuple[bool, ...]
) -> NDArray[np.float64]:
    """Sums over the cases that have these modalities, [labels, classes, CALIBRATION_SUMS]."""
    asked = [m for m, there in zip(plan.dims, mask, strict=True) if there]
    rows = rows[np.logical_and.reduce([dataset.present[m][rows] for m in asked])]
    features = {m: torch.from_numpy(dataset.features[m][rows]) for m in plan.dims}
    shown = {m: torch.full((len(rows),), m in asked) for m in plan.dims}
    with torch.inference_mode():
        head, experts = (
            logits.numpy().astype(np.float64) for logits in model.calibration_logits(features, shown)
        )
    labels = dataset.labels[rows]
    of_class = np.stack([labels == 0, labels == 1], axis=2).astype(np.float64)  # unknown: neither
    powers = np.stack([np.ones_like(head), head, np.square(head), experts, np.square(experts)], axis=2)
    sums: NDArray[np.float64] = np.einsum("nlc,nlp->lcp", of_class, powers)
    return sums
