"""The second task: second moments of a site's features and labels, from which the aggregator solves closed forms."""

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.answer_counts import counts_training, label_moments
from fedfin.model.second_moment_spec import pack
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.moment_parts import Floats, Mask, moments


def pool_second_moments(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `fedfin.model.second_moment_spec` over the training cases, and the number of cases behind each.

    Weighted by that number, the means of several sites are those of their pooled cases. What is below the site's floor
    is left out: a tensor that too few patients are behind, or in it a label that too few of them have, or have not, or
    is unknown of. So is what would be theirs, taken off what is told beside it. Where labels were counted over all
    sites, a label is left out of which too few of all patients are so.
    """
    basis, _ = standardised_basis(model, plan, dataset, ~dataset.held_out)
    tensors, weights = {}, {}
    for moment in moments(plan, dataset):
        rows = basis[moment.one][moment.held]
        if moment.labels is not None:
            labels = np.where(_enough(model, plan, moment.name), moment.labels, np.nan)
            tensors[moment.name] = _with_labels(labels, rows)
        elif moment.other is not None:
            same, others = moment.one == moment.other, basis[moment.other][moment.held]
            tensors[moment.name] = _products(rows, others, same=same)
        weights[moment.name] = int(moment.held.sum())
    return tensors, weights


def _enough(model: FusionModel, plan: Plan, name: str) -> NDArray[np.bool_]:
    """Of which labels enough patients of all sites are behind this tensor, bool [labels]; all where nobody counts."""
    if model.enough is None or not counts_training(plan):
        return np.ones(len(plan.labels), np.bool_)
    enough: NDArray[np.bool_] = model.enough.of("second_moments")[label_moments(plan).index(name)]
    return enough


def standardised_basis(
    model: FusionModel, plan: Plan, dataset: Dataset, train: Mask
) -> tuple[dict[str, Floats], dict[str, Mask]]:
    """Of these cases: modality -> [cases, 1 + features + random features], and which cases have it."""
    present = {m: dataset.present[m][train] for m in plan.dims}
    with torch.inference_mode():
        standard = model.standardise(
            {m: torch.from_numpy(dataset.features[m][train]) for m in plan.dims},
            {m: torch.from_numpy(mask) for m, mask in present.items()},
        )
        expanded = {m: values.numpy().astype(np.float64) for m, values in model.expanded(standard).items()}
    return {m: np.insert(values, 0, 1.0, axis=1) for m, values in expanded.items()}, present


def _products(one: Floats, other: Floats, *, same: bool) -> NDArray[np.float32]:
    """The mean outer product of [cases, D] and [cases, E]: [D, E], or packed when both are the same."""
    mean = one.T @ other / len(one)
    return (pack(mean) if same else mean).astype(np.float32)


def _with_labels(labels: Floats, basis: Floats) -> NDArray[np.float32]:
    """Means of known x basis and known x label x basis, [labels, 2, D]."""
    known = ~np.isnan(labels)
    positive = np.nan_to_num(labels)
    means = np.stack([known.T @ basis, positive.T @ basis], axis=1) / len(basis)
    return means.astype(np.float32)
