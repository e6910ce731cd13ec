"""Features in pooled standard deviations from the pooled mean, outside torch; sites would pool both as in round 1."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.study.method import Floats
from fedfin.model.model_spec import CLIP
from fedfin_edge.cases.dataset import Dataset


@dataclass(frozen=True)
class Units:
    """mean, deviation: modality -> [dim]."""

    mean: dict[str, Floats]
    deviation: dict[str, Floats]

    def standard(self, modality: str, values: Floats) -> Floats:
        """[n, dim] to standardised units."""
        scaled = (values - self.mean[modality]) / self.deviation[modality]
        clipped: Floats = np.clip(scaled, -CLIP, CLIP).astype(np.float32)
        return clipped

    def back(self, modality: str, values: Floats) -> Floats:
        """[n, dim] to the encoder's units."""
        own: Floats = (values * self.deviation[modality] + self.mean[modality]).astype(np.float32)
        return own


def pooled(sites: Iterable[Dataset]) -> Units:
    """Over all training cases that have a modality."""
    datasets = list(sites)
    mean, deviation = {}, {}
    for modality in datasets[0].features:
        rows = np.concatenate([d.features[modality][d.present[modality]] for d in datasets])
        wide = rows.astype(np.float64) if len(rows) else np.zeros((1, rows.shape[1]))
        mean[modality] = wide.mean(axis=0).astype(np.float32)
        deviation[modality] = np.maximum(wide.std(axis=0), 1e-6).astype(np.float32)
    return Units(mean, deviation)
