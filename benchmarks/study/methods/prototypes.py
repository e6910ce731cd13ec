"""Class prototypes: a missing modality is a mixture of its classes' means, weighted by where the shown ones stand.

In the manner of MFCPL (arXiv 2401.13898), whose prototypes are also what encoders are trained towards; encoders are
frozen here, so that only the imputation is left of it. Prototypes are one exchange of sums: exact, as if pooled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Floats, Present, Progress, Trained
from benchmarks.study.methods.filled import ON_FILLED, TrainedFilled, add, fill
from benchmarks.study.methods.units import Units, pooled
from fedfin_edge.cases.dataset import Dataset

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Prototypes:
    """temperature: of the softmax over classes, in mean squared standardised distances."""

    name: str = "prototypes"
    temperature: float = 0.1

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Pool the prototypes, fill every site's cases, run the ordinary rounds on them."""
        units = pooled(federation.sites.values())
        means = {m: _prototypes(federation.sites, units, m) for m in federation.plan.dims}

        def estimate(features: ByModality, present: Present) -> dict[str, Floats]:
            weights = _class_weights(features, present, units, means, self.temperature)
            return {m: units.back(m, weights @ means[m]) for m in features}

        sites = {
            name: fill(dataset, estimate(dataset.features, dataset.present))
            for name, dataset in federation.sites.items()
        }
        inner = ON_FILLED.train(replace(federation, sites=sites), progress)
        sent = FLOAT32 * sum(mean.size for mean in means.values())
        return TrainedFilled(
            inner, estimate, add(inner.costs, up=sent, down=sent, multiply_adds=2 * sent / FLOAT32)
        )


def _prototypes(sites: Mapping[str, Dataset], units: Units, modality: str) -> Floats:
    """[2 labels, dim]: the standardised mean of each label's positives, then of its negatives."""
    rows = [
        (d.features[modality][d.present[modality]], d.labels[d.present[modality]]) for d in sites.values()
    ]
    values = units.standard(modality, np.concatenate([features for features, _ in rows]))
    labels = np.concatenate([of for _, of in rows])
    member = np.concatenate([labels == 1, labels == 0], axis=1).astype(np.float32)
    means: Floats = (member.T @ values) / np.maximum(member.sum(axis=0), 1.0)[:, None]
    return means


def _class_weights(
    features: ByModality, present: Present, units: Units, means: Mapping[str, Floats], temperature: float
) -> Floats:
    """[n, 2 labels]: a softmax over all prototypes of how near the shown modalities are to theirs."""
    distance: NDArray[np.float32] = np.zeros((len(next(iter(present.values()))), 1), np.float32)
    for modality, mask in present.items():
        standard = units.standard(modality, features[modality])
        own = means[modality]
        squared = np.square(standard).mean(axis=1, keepdims=True) - 2 * standard @ own.T / own.shape[1]
        distance = distance + np.where(mask[:, None], squared + np.square(own).mean(axis=1), 0.0)
    near = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / temperature)
    weights: Floats = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights
