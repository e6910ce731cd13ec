"""The task after training: how head and experts answer held-out cases that the head did not train on."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import CALIBRATION, CALIBRATION_SUMS, CENTRES, pattern_row, task_specs
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.scenarios import calibrating
from fedfin_edge.tasks.alike_labels import alike_labels

CLASSES = 2
PROBES, SEED = 256, 0


def measure_scores(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """The tensors and their number of cases; nothing at a site that holds out fewer patients for it than its floor.

    [patterns, labels, classes, 5]: over these cases, the share of those that show at least the pattern's
    modalities and are of the class, and the means of the head's logit and its square, and of the experts' in deviations
    and its square, seeing these modalities alone. Zeros of a label that fewer patients than the floor have a value of;
    where the site's own are seen, one of the two answers (Dataset.judged_labels). Where the plan asks for sites behind
    every block, so in each pattern. Zeros, too, of labels that are scored as another is (alike_labels.py).

    Where answers are counted over all sites [patterns, 1, classes, 5], the mean over all labels, of the head's logits
    less their centres, and these, [patterns, labels]: nobody sees of which label an answer is, nor of whom one is
    unknown. Zeros of patterns of which too few patients have either answer.
    """
    held_out = calibrating(plan, dataset)
    if not dataset.floor.allows(held_out):
        return {}, {}
    rows, floor = np.flatnonzero(held_out), dataset.floor.of(held_out)
    labels = dataset.judged_labels(held_out, summed=plan.privacy.summed)
    means = {name: np.zeros(shape) for name, shape in task_specs(plan, "calibrate").items()}
    centres = np.zeros((1 << len(plan.dims), len(plan.labels)))
    if model.enough is None:
        labels[:, alike_labels(model, plan, dataset)] = np.nan
    else:
        centres = means[CENTRES] = _centres(model, plan, model.enough.of("calibrate"))
    for one in _answers(model, plan, dataset, rows):
        known = labels[one.has]
        if plan.privacy.least_sites_per_block:
            known = floor.of(one.has).without_unfamiliar(known)
        sums = _powers(known, one.head - centres[one.pattern], one.experts).sum(axis=0)
        means[CALIBRATION][one.pattern] = (sums if model.enough is None else sums.mean(axis=0)) / len(rows)
    if model.enough is not None:
        means[CALIBRATION] *= model.enough.of("calibrate")[:, None, None, None]
    weights = dict.fromkeys(means, len(rows))
    return {name: values.astype(np.float32) for name, values in means.items()}, weights


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
