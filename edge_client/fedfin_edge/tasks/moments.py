"""The first task: means of features and of their squares, from which sites pool one standardisation."""

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.populations import populations


def pool_moments(dataset: Dataset) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Moments over the training cases that have each modality, if enough patients are behind them, and their number.

    Weighted by that number, the means of several sites are those of their pooled cases.
    """
    train = ~dataset.held_out
    floor, present = dataset.floor.of(train), {m: mask[train] for m, mask in dataset.present.items()}
    # Were those in here that second moments withhold, the difference of the two would be theirs.
    kept = populations(present, floor)
    tensors, weights = {}, {}
    for modality, features in dataset.features.items():
        parts = [cases & present[modality] for cases in kept.values()]
        counted = np.logical_or.reduce([cases & floor.allows(cases) for cases in parts])
        if not counted.any():
            continue
        rows = features[train][counted].astype(np.float64)
        for name, mean in (("mean", rows.mean(axis=0)), ("square", np.square(rows).mean(axis=0))):
            tensors[f"norm.{modality}.{name}"] = mean.astype(np.float32)
            weights[f"norm.{modality}.{name}"] = len(rows)
    return tensors, weights
