"""Other arrangements of the same cases: fewer sites, one more, each site for itself, or everything in one place."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.study.datasets import joined, rows_of
from benchmarks.study.federation import PUBLIC, Federation
from benchmarks.study.method import NotApplicableError, Progress, SeparateModels, Trained
from benchmarks.study.methods.filled import ORDINARY
from benchmarks.study.methods.plan_method import PlanMethod
from fedfin_edge.cases.dataset import Dataset


@dataclass(frozen=True)
class CompleteSitesOnly:
    """Sites that have complete cases train on these; nobody else takes part."""

    name: str = "complete-sites-only"
    method: PlanMethod = ORDINARY

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Raises NotApplicableError where no site has a complete case."""
        sites = {name: _complete(dataset) for name, dataset in federation.sites.items()}
        taking_part = {name: dataset for name, dataset in sites.items() if len(dataset)}
        if not taking_part:
            raise NotApplicableError("no site has a complete case")
        return self.method.train(replace(federation, sites=taking_part), progress)


@dataclass(frozen=True)
class LocalOnly:
    """Each site trains alone; what the study measures is measured site by site."""

    name: str = "local-only"
    method: PlanMethod = ORDINARY

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """As many rounds as the federation has, at each site."""
        parts = []
        for done, (name, dataset) in enumerate(federation.sites.items(), 1):
            alone = replace(federation, sites={name: dataset})
            parts.append(self.method.train(alone, lambda _share: None))
            progress(done / len(federation.sites))
        return SeparateModels(parts)


@dataclass(frozen=True)
class WithPublic:
    """The public cases train as one more site: what a rival that has them is fairly compared with."""

    name: str
    method: PlanMethod

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Raises NotApplicableError where there is no public set."""
        if not len(federation.public):
            raise NotApplicableError("there is no public set")
        sites = federation.sites | {PUBLIC: federation.public}
        return self.method.train(replace(federation, sites=sites), progress)


@dataclass(frozen=True)
class Centralised:
    """All training cases in one place. recorded: with every modality that was recorded: the upper bound."""

    name: str
    recorded: bool
    method: PlanMethod

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """The ordinary rounds, training as one site.

        Moments sum to the same either way; by hospital, penalties are cross-validated over several of them.
        """
        datasets = federation.recorded if self.recorded else federation.sites
        centre = {"centre": joined(list(datasets.values()))}
        return self.method.train(replace(federation, sites=datasets), progress, trains=centre)


def _complete(dataset: Dataset) -> Dataset:
    return rows_of(dataset, np.logical_and.reduce(list(dataset.present.values())))
