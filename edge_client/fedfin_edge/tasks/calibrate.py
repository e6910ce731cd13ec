"""The task after training: how head and experts answer held-out cases that the head did not train on."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import CALIBRATION, CALIBRATION_SUMS, CENTRES, HEAD_SUMS, pattern_row, task_specs
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.k_anonymity import k_anonymous
from fedfin_edge.tasks.alike_labels import alike_labels

CLASSES = 2
PROBES, SEED = 256, 0


def measure_scores(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """The tensors and their number of cases; nothing at a site that holds out fewer patients for it than its floor.

    [patterns, labels, classes, 5]: over these cases, the share of those that show at least the pattern's
    modalities and are of the class, and the means of the head's logit and its square, and of the experts' in deviations
    and its square, seeing these modalities alone. Of whom and of which labels, see k_anonymity.py. Zeros of labels that
    are scored as another is (alike_labels.py).

    Where answers are counted over all sites [patterns, 1, classes, 3], of the head alone, and of each case the mean
    over those of its labels that are of the class, less their centres; and these, [patterns, labels]. Nobody sees of
    which label an answer is, of whom one is unknown, or who has two. Zeros of patterns that too few are behind.
    """
    held_out, labels = k_anonymous(plan, dataset, dataset.calibration_held_out)
    if not held_out.any():
        return {}, {}
    rows = np.flatnonzero(held_out)
    means = {name: np.zeros(shape) for name, shape in task_specs(plan, "calibrate").items()}
    if model.enough is None:
        labels[:, alike_labels(model, plan, dataset)] = np.nan
        for one in _answers(model, plan, dataset, rows):
            powers = _powers(labels[rows[one.has]], one.head, one.experts)
            means[CALIBRATION][one.pattern] = powers.sum(axis=0) / len(rows)
    else:
        enough = model.enough.of("calibrate")
        means[CENTRES] = _centres(model, plan, enough)
        for one in _answers(model, plan, dataset, rows):
            if enough[one.pattern]:
                powers = _powers(labels[rows[one.has]], one.head - means[CENTRES][one.pattern], one.experts)
                means[CALIBRATION][one.pattern] = _in_one(powers).sum(axis=0) / len(rows)
    weights = dict.fromkeys(means, len(rows))
    return {name: values.astype(np.float32) for name, values in means.items()}, weights


def _in_one(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each case the mean over its labels of a class, [cases, 1, classes, HEAD_SUMS]; powers: as `_powers` gives."""
    total = powers[..., :HEAD_SUMS].sum(axis=1, keepdims=True)
    mean: NDArray[np.float64] = total / np.maximum(total[..., :1], 1.0)
    return mean


def _centres(model: FusionModel, plan: Plan, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """About where the head's logits of each label lie, [patterns, labels]: the same at every site, and of no case.

    By the model, and not by a site's own cases: products of these and of its other sums would tell them, and so would
    sums over more cases than those of whom a label is known. wanted: of which patterns, bool [patterns].
    """
    generator = torch.Generator().manual_seed(SEED)
    features = {m: model.draw_features(m, PROBES, generator) for m in plan.dims}
    centres = np.zeros((len(wanted), len(plan.labels)))
    for mask in product((False, True), repeat=len(plan.dims)):
        if wanted[pattern_row(mask)]:
            shown = {m: torch.full((PROBES,), there) for m, there in zip(plan.dims, mask, strict=True)}
            with torch.inference_mode():
                logits = model.head_logits(features, shown).numpy()
            centres[pattern_row(mask)] = logits.mean(axis=0, dtype=np.float64)
    return centres


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


def _powers(
    labels: NDArray[np.floating[Any]], head: NDArray[np.float64], experts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each case adds to its class, [cases, labels, classes, CALIBRATION_SUMS]; all else [cases, labels]."""
    of_class = np.stack([labels == 0, labels == 1], axis=2).astype(np.float64)  # unknown: neither
    powers = np.stack([np.ones_like(head), head, np.square(head), experts, np.square(experts)], axis=2)
    scores: NDArray[np.float64] = of_class[..., None] * powers[:, :, None]
    return scores
