"""Parts of a site's cases, and the cases of several sites as one's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.dataset import Dataset


def rows_of(dataset: Dataset, rows: NDArray[np.bool_]) -> Dataset:
    """The cases of a mask, bool [n]."""
    return Dataset(
        {m: values[rows] for m, values in dataset.features.items()},
        {m: mask[rows] for m, mask in dataset.present.items()},
        dataset.labels[rows],
        dataset.held_out[rows],
        validation=dataset.calibration_held_out[rows],
        second_half=dataset.in_second_half[rows],
    )


def joined(datasets: Sequence[Dataset]) -> Dataset:
    """All of their cases, in this order."""
    first = datasets[0]
    return Dataset(
        {m: np.concatenate([d.features[m] for d in datasets]) for m in first.features},
        {m: np.concatenate([d.present[m] for d in datasets]) for m in first.present},
        np.concatenate([d.labels for d in datasets]),
        np.concatenate([d.held_out for d in datasets]),
        validation=np.concatenate([d.calibration_held_out for d in datasets]),
        second_half=np.concatenate([d.in_second_half for d in datasets]),
    )
