"""CAR-MFL (arXiv 2407.08648): a missing modality is taken from a public case that is near in what is there.

At training sites the public case is, of the ten nearest in the shown modality's features (Euclidean), the one whose
labels are most alike by Jaccard's index; the public pairs train as one more site. The paper retrieves anew each round,
and gives an encoder less weight at sites where it saw retrieved inputs; frozen encoders need neither. Its test cases
are complete; for cases without labels and with a modality missing, which it leaves open, the mean of the nearest is
taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import PUBLIC, Federation
from benchmarks.study.method import ByModality, Floats, NotApplicableError, Present, Progress, Trained
from benchmarks.study.methods.filled import ON_FILLED, TrainedFilled, add, fill
from benchmarks.study.methods.units import Units, pooled
from fedfin_edge.cases.dataset import Dataset


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
            best = agreeing(chosen, dataset.labels, public.labels)
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


def agreeing(chosen: NDArray[np.intp], labels: Floats, of_public: Floats) -> NDArray[np.intp]:
    """[n]: of each case's chosen, the nearest of those whose labels are most alike by Jaccard's index.

    Labels that are unknown to either count for neither; two cases without a finding are alike.
    """
    own, others = labels[:, None], of_public[chosen]
    known = ~(np.isnan(own) | np.isnan(others))
    both = (known & (own == 1) & (others == 1)).sum(axis=2)
    either = (known & ((own == 1) | (others == 1))).sum(axis=2)
    alike = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    best: NDArray[np.intp] = chosen[np.arange(len(chosen)), alike.argmax(axis=1)]
    return best
