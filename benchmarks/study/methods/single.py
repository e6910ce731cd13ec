"""Single-modality federation: the sites that hold a modality train on it, and see nothing else."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.study.datasets import rows_of
from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from benchmarks.study.methods.filled import ORDINARY
from fedfin_edge.cases.dataset import Dataset


@dataclass(frozen=True)
class SingleModality:
    """place: of the modality in the plan; 0 is the common one, -1 the rare one."""

    name: str
    place: int

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """The ordinary rounds on that modality alone."""
        modality = list(federation.plan.dims)[self.place]
        sites = {name: _only(dataset, modality) for name, dataset in federation.sites.items()}
        with_it = {name: dataset for name, dataset in sites.items() if dataset.present[modality].any()}
        inner = ORDINARY.train(replace(federation, sites=with_it), progress)
        return _Trained(inner, modality)


class _Trained:
    def __init__(self, inner: Trained, modality: str) -> None:
        self._inner, self._modality = inner, modality

    @property
    def costs(self) -> Costs:
        return self._inner.costs

    def answer(self, features: ByModality, present: Present) -> Floats:
        """NaN for cases without the modality: it has no answer for them."""
        shown = {m: mask & (m == self._modality) for m, mask in present.items()}
        probability = self._inner.answer(features, shown)
        probability[~present[self._modality]] = np.nan
        return probability

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:  # noqa: ARG002 the interface
        return {}


def _only(dataset: Dataset, modality: str) -> Dataset:
    """The cases that have it, with nothing else of them."""
    found = rows_of(dataset, dataset.present[modality])
    features = {m: values * np.float32(m == modality) for m, values in found.features.items()}
    present = {m: mask & (m == modality) for m, mask in found.present.items()}
    return replace(found, features=features, present=present)
