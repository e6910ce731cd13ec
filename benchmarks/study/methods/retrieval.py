"""CAR-MFL (arXiv 2407.08648): a missing modality is taken from a public case that is near in what is there.

At training sites the public case is, of the nearest in the shown modality's features, the one whose labels agree best;
the public pairs train as one more site. The paper's encoders train and its test cases are complete; for cases without
labels and with a modality missing, which it leaves open, the mean of the nearest is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Floats, NotApplicableError, Present, Progress, Trained
from benchmarks.study.methods.filled import ON_FILLED, TrainedFilled, add, fill
from benchmarks.study.methods.units import Units, pooled
from edge_client.dataset import Dataset

PUBLIC = "public"


@dataclass(frozen=True)
class Retrieval:
    """nearest: how many public cases are looked at."""

    name: str = "retrieval"
    nearest: int = 10

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Raises NotApplicableError where there is no public set."""
        public = federation.public
        if not len(public):
            raise NotApplicableError("there is no public set to retrieve from")
        units = pooled([*federation.sites.values(), public])
        bank = {m: units.standard(m, values) for m, values in public.features.items()}
        count = min(self.nearest, len(public))

        def estimate(features: ByModality, present: Present) -> dict[str, Floats]:
            chosen = _nearest(features, present, units, bank, count)
            return {m: public.features[m][chosen].mean(axis=1) for m in features}

        def of_site(dataset: Dataset) -> dict[str, Floats]:
            chosen = _nearest(dataset.features, dataset.present, units, bank, count)
            best = _agreeing(chosen, dataset.labels, public.labels)
            return {m: public.features[m][best] for m in dataset.features}

        sites = {name: fill(dataset, of_site(dataset)) for name, dataset in federation.sites.items()}
        inner = ON_FILLED.train(replace(federation, sites=sites | {PUBLIC: public}), progress)
        looked_at = float(sum(values.size for values in bank.values()))
        return TrainedFilled(inner, estimate, add(inner.costs, multiply_adds=looked_at))


def _nearest(
    features: ByModality, present: Present, units: Units, bank: Mapping[str, Floats], count: int
) -> NDArray[np.intp]:
    """[n, count]: the public cases that are nearest in what is shown, by mean squared standardised distance."""
    distance: Floats = np.zeros((len(next(iter(present.values()))), 1), np.float32)
    for modality, mask in present.items():
        own, known = units.standard(modality, features[modality]), bank[modality]
        squared = np.square(known).mean(axis=1) - 2 * own @ known.T / known.shape[1]
        distance = distance + np.where(mask[:, None], squared, 0.0).astype(np.float32)
    return np.argsort(distance, axis=1, kind="stable")[:, :count]


def _agreeing(chosen: NDArray[np.intp], labels: Floats, of_public: Floats) -> NDArray[np.intp]:
    """[n]: of each case's chosen, the nearest of those whose labels differ least; unknown labels do not differ."""
    differs = np.nan_to_num(np.abs(labels[:, None] - of_public[chosen])).sum(axis=2)
    best: NDArray[np.intp] = chosen[np.arange(len(chosen)), differs.argmin(axis=1)]
    return best
