"""The task after training: how head and experts answer held-out cases that the head did not train on."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import CALIBRATION, CALIBRATION_SUMS, pattern_row
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.alike_labels import alike_labels

CLASSES = 2


def measure_scores(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """The tensor and its number of cases; nothing at a site that holds out fewer patients for it than its floor.

    [patterns, labels, classes, 5]: over these cases, the share of those that show at least the pattern's
    modalities and are of the class, and the means of the head's logit and its square, and of the experts' in deviations
    and its square, seeing these modalities alone. Zeros of a label that fewer patients than the floor have a value of;
    where the site's own are seen, one of the two answers (Dataset.judged_labels). Where the plan asks for sites behind
    every block, so in each pattern. Zeros, too, of labels that are scored as another is (alike_labels.py).

    Where answers are counted over all sites, of each label the mean over all labels, as `_in_one` says, and zeros of
    patterns of which too few patients have either answer.
    """
    held_out = dataset.calibration_held_out
    if not dataset.floor.allows(held_out):
        return {}, {}
    rows, floor = np.flatnonzero(held_out), dataset.floor.of(held_out)
    labels = dataset.judged_labels(held_out, summed=plan.privacy.summed)
    labels[:, alike_labels(model, plan, dataset)] = np.nan
    means = np.zeros((1 << len(plan.dims), len(plan.labels), CLASSES, CALIBRATION_SUMS))
    for one in _answers(model, plan, dataset, rows):
        known = labels[one.has]
        if plan.privacy.least_sites_per_block:
            known = floor.of(one.has).without_unfamiliar(known)
        sums = _of_each if model.enough is None else _in_one
        means[one.pattern] = sums(known, one.head, one.experts) / len(rows)
    if model.enough is not None:
        means *= model.enough.of("calibrate")[:, None, None, None]
    return {CALIBRATION: means.astype(np.float32)}, {CALIBRATION: len(rows)}


def case_scores(
    model: FusionModel, plan: Plan, dataset: Dataset, rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """What each of these cases adds, [cases, patterns, labels, classes, CALIBRATION_SUMS]."""
    scores = np.zeros((len(rows), 1 << len(plan.dims), len(plan.labels), CLASSES, CALIBRATION_SUMS))
    for one in _answers(model, plan, dataset, rows):
        scores[one.has, one.pattern] = _powers(dataset.labels[rows[one.has]], one.head, one.experts)
    return scores


class _Answers(NamedTuple):
    """Of a pattern's cases: bool [cases], which these are; logits of head and experts, [those, labels]."""

    pattern: int
    has: NDArray[np.bool_]
    head: NDArray[np.float64]
    experts: NDArray[np.float64]


def _answers(model: FusionModel, plan: Plan, dataset: Dataset, rows: NDArray[np.intp]) -> Iterator[_Answers]:
    """By pattern of modalities that are shown, of the cases that have them; patterns that none has are left out."""
    for mask in list(product((False, True), repeat=len(plan.dims)))[1:]:
        asked = [m for m, there in zip(plan.dims, mask, strict=True) if there]
        has = np.logical_and.reduce([dataset.present[m][rows] for m in asked])
        if not has.any():  # with eight modalities a site of one has cases of a single pattern of 255
            continue
        features = {m: torch.from_numpy(dataset.features[m][rows[has]]) for m in plan.dims}
        shown = {m: torch.full((int(has.sum()),), m in asked) for m in plan.dims}
        with torch.inference_mode():
            head, experts = model.calibration_logits(features, shown)
        yield _Answers(
            pattern_row(mask), has, head.numpy().astype(np.float64), experts.numpy().astype(np.float64)
        )


def _of_each(
    labels: NDArray[np.floating[Any]], head: NDArray[np.float64], experts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sums of a pattern's cases, label by label, [labels, classes, CALIBRATION_SUMS]."""
    sums: NDArray[np.float64] = _powers(labels, head, experts).sum(axis=0)
    return sums


def _in_one(
    labels: NDArray[np.floating[Any]], head: NDArray[np.float64], experts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same, for each label the mean over all that the site knows, about the label's mean logit over all cases.

    Nobody sees of which label an answer is, nor by comparing labels, who knows which: all are of the same cases.
    """
    own = head.mean(axis=0)[:, None]
    together = _of_each(labels, head - own.T, experts).sum(axis=0)
    known = int((~np.isnan(labels)).any(axis=0).sum())
    count, logit, square, *rest = np.moveaxis(together, -1, 0) / max(known, 1)
    moved = [count, logit + own * count, square + 2 * own * logit + np.square(own) * count, *rest]
    return np.stack(np.broadcast_arrays(*moved), axis=-1)


def _powers(
    labels: NDArray[np.floating[Any]], head: NDArray[np.float64], experts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each case adds to its class, [cases, labels, classes, CALIBRATION_SUMS]; all else [cases, labels]."""
    of_class = np.stack([labels == 0, labels == 1], axis=2).astype(np.float64)  # unknown: neither
    powers = np.stack([np.ones_like(head), head, np.square(head), experts, np.square(experts)], axis=2)
    scores: NDArray[np.float64] = of_class[..., None] * powers[:, :, None]
    return scores
