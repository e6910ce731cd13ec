"""The second task: second moments of a site's features and labels, from which the aggregator solves closed forms."""

import math
from itertools import combinations_with_replacement

import numpy as np
import torch
from numpy.typing import NDArray

from edge_client.dataset import Dataset
from fedfin.plan import Plan
from fedfin.second_moments import (
    MOST_BYTES,
    Population,
    label_moment_name,
    pack,
    second_moment_name,
    second_moment_shapes,
)
from fusion.model import FusionModel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def pool_covariances(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `fedfin.second_moments` over the training cases, and the number of cases behind each.

    Weighted by that number, the means of several sites are those of their pooled cases.
    """
    train = ~dataset.held_out
    basis, present = _basis(model, plan, dataset, train)
    labels = dataset.labels[train].astype(np.float64)
    tensors, weights = {}, {}
    for population, of_it in _populations(plan, present).items():
        for one, other in combinations_with_replacement(plan.dims, 2):
            if count := int((rows := of_it & present[one] & present[other]).sum()):
                name = second_moment_name(population, one, other)
                tensors[name] = _products(basis[one][rows], basis[other][rows], same=one == other)
                weights[name] = count
        for modality in plan.dims:
            if count := int((rows := of_it & present[modality]).sum()):
                name = label_moment_name(population, modality)
                tensors[name] = _with_labels(labels[rows], basis[modality][rows])
                weights[name] = count
    return tensors, weights


def _populations(plan: Plan, present: dict[str, Mask]) -> dict[Population, Mask]:
    """The site's cases, bool [cases] each: apart unless that is more than MOST_BYTES."""
    every = np.logical_and.reduce(list(present.values()))
    apart: dict[Population, Mask] = {"complete": every, "partial": ~every}
    if every.all() or _size(plan, present, apart) <= MOST_BYTES:
        return apart
    return {"partial": np.ones_like(every)}


def _size(plan: Plan, present: dict[str, Mask], populations: dict[Population, Mask]) -> int:
    """Bytes of what a site sends of these."""
    shapes = second_moment_shapes(plan)
    names = set()
    for population, of_it in populations.items():
        for one, other in combinations_with_replacement(plan.dims, 2):
            if (of_it & present[one] & present[other]).any():
                names.add(second_moment_name(population, one, other))
        names |= {label_moment_name(population, m) for m in plan.dims if (of_it & present[m]).any()}
    return np.dtype(np.float32).itemsize * sum(math.prod(shapes[name]) for name in names)


def _basis(
    model: FusionModel, plan: Plan, dataset: Dataset, train: Mask
) -> tuple[dict[str, Floats], dict[str, Mask]]:
    """Modality -> [cases, 1 + features + random features], and which cases have it."""
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
