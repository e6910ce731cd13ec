"""All sites' training cases side by side, for simple rivals whose sums over sites are exact: it is as if pooled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.method import ByModality, Floats, Present
from benchmarks.study.methods.units import Units, pooled
from fedfin_edge.cases.dataset import Dataset

FOLDS = 3  # inner ones, on which penalties are chosen
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingRows:
    """n cases: features by modality in pooled units, zero where absent, [n, dim]; labels [n, labels], NaN unknown.

    fold: [n], in 0..FOLDS - 1; a site's cases are in two at most, and no patient is in two.
    """

    features: dict[str, Floats]
    present: dict[str, Mask]
    labels: Floats
    fold: NDArray[np.int64]
    units: Units

    def having(self, modalities: Sequence[str]) -> Mask:
        """Which cases have all of these, [n]."""
        mask: Mask = np.logical_and.reduce([self.present[m] for m in modalities])
        return mask

    def side_by_side(self, modalities: Sequence[str]) -> Floats:
        """[n, their dims]."""
        return np.concatenate([self.features[m] for m in modalities], axis=1)

    def standard(self, features: ByModality, present: Present) -> dict[str, Floats]:
        """Any cases in the same units, zero where absent."""
        return {
            m: np.where(present[m][:, None], self.units.standard(m, values), np.float32(0))
            for m, values in features.items()
        }


def training_rows(sites: Mapping[str, Dataset]) -> TrainingRows:
    """In the order of the sites."""
    datasets, units = list(sites.values()), pooled(sites.values())
    present = {m: np.concatenate([d.present[m] for d in datasets]) for m in datasets[0].present}
    features = {m: np.concatenate([units.standard(m, d.features[m]) for d in datasets]) for m in present}
    return TrainingRows(
        {m: np.where(present[m][:, None], values, np.float32(0)) for m, values in features.items()},
        present,
        np.concatenate([d.labels for d in datasets]),
        np.concatenate([(2 * place + d.in_second_half) % FOLDS for place, d in enumerate(datasets)]),
        units,
    )
