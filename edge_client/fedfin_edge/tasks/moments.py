"""The first task: means of features and of their squares, from which sites pool one standardisation."""

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.moment_cases import moment_cases


def pool_moments(dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Moments over the training cases that have each modality, if enough patients are behind them, and their number.

    Weighted by that number, the means of several sites are those of their pooled cases.
    """
    tensors, weights = {}, {}
    counted = moment_cases(dataset)
    for modality, features in dataset.features.items():
        if not counted[modality].any():
            continue
        rows = features[counted[modality]].astype(np.float64)
        for name, mean in (("mean", rows.mean(axis=0)), ("square", np.square(rows).mean(axis=0))):
            tensors[f"norm.{modality}.{name}"] = mean.astype(np.float32)
            weights[f"norm.{modality}.{name}"] = len(rows)
    return tensors, weights
