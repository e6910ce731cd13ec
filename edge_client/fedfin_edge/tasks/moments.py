"""The first task: means of features and of their squares, from which sites pool one standardisation."""

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.dataset import Dataset


def pool_moments(dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Moments over the training cases that have each modality, if enough patients are behind them, and their number.

    Weighted by that number, the means of several sites are those of their pooled cases.
    """
    tensors, weights = {}, {}
    for modality, features in dataset.features.items():
        cases = _counted(dataset, modality)
        if not cases.any():
            continue
        rows = features[cases].astype(np.float64)
        for name, mean in (("mean", rows.mean(axis=0)), ("square", np.square(rows).mean(axis=0))):
            tensors[f"norm.{modality}.{name}"] = mean.astype(np.float32)
            weights[f"norm.{modality}.{name}"] = len(rows)
    return tensors, weights


def _counted(dataset: Dataset, modality: str) -> NDArray[np.bool_]:
    """The training cases that have it, bool [n]: complete ones and others, either if enough patients are behind them.

    Second moments are of these two apart. Were the few in here that are withheld there, the difference would be theirs.
    """
    held = dataset.present[modality] & ~dataset.held_out
    complete = np.logical_and.reduce(list(dataset.present.values()))
    counted = np.zeros_like(held)
    for cases in (held & complete, held & ~complete):
        if dataset.floor.allows(cases):
            counted |= cases
    return counted
