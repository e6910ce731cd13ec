"""Methods in few public dimensions: every modality projected before anything trains."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from benchmarks.study.methods.plan_method import PlanMethod
from fedfin.encoders.bundle import read_manifest
from fedfin.encoders.projection import Projection, read_projection
from fedfin.limits import LEAST_PATIENTS, LEAST_SUMMED
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy, Scale
from fedfin_edge.cases.dataset import Dataset
from fedfin_export.projection import Axes, Wanted, make_axes


@dataclass(frozen=True)
class Projected:
    """A method's plan in `dims` columns of each modality, with axes of public cases, which no site has.

    dims: 0 for as many columns as there are; a modality of no more features stays as it is, in deviations of each;
    basis: random features fill closed forms' input to so many times the columns; bundles: modality and projected
    bundle, whose axes are taken instead; level: "secure" for what secure sums ask of plan and sites, which
    have a floor of `least_patients` (fedfin_edge/cases/floor.py) and, if they have one, count answers as a draft asks.
    """

    name: str
    method: PlanMethod
    axes: Axes
    scale: Scale
    dims: int
    basis: float
    bundles: tuple[tuple[str, str], ...] = ()
    level: Literal["open", "secure"] = "open"
    least_patients: int = LEAST_PATIENTS

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """As the method, in the columns."""
        public, columns = federation.public, self.columns(federation)
        projections = {
            m: self._projection(m, values, columns[m])
            for m, values in federation.axes.items()
            if not 0 < values.shape[1] <= columns[m]
        }
        plan = self.plan(federation.plan, {m: len(projection) for m, projection in projections.items()})
        floor = self.least_patients if plan.privacy.summed else 0
        sites, recorded = (
            {
                name: dataclasses.replace(_projected(dataset, projections), least_patients=floor)
                for name, dataset in datasets.items()
            }
            for datasets in (federation.sites, federation.recorded)
        )
        judge = _projected(federation.judge, projections)
        small = dataclasses.replace(
            federation,
            plan=plan,
            sites=sites,
            recorded=recorded,
            public=_projected(public, projections),
            judge=judge,
        )
        return TrainedInColumns(self.method.train(small, progress), projections)

    def columns(self, federation: Federation) -> Mapping[str, int]:
        """How many are asked for, by modality."""
        return dict.fromkeys(federation.axes, self.dims)

    def plan(self, base: Plan, columns: Mapping[str, int]) -> Plan:
        """The plan that trains, in these columns of the modalities that are projected."""
        modalities = tuple(
            msgspec.structs.replace(m, dim=columns[m.name], scale=self.scale) if m.name in columns else m
            for m in base.modalities
        )
        total = round(self.basis * sum(m.dim for m in modalities))
        plan = msgspec.structs.replace(
            base, modalities=modalities, model=msgspec.structs.replace(base.model, basis_total=total)
        )
        if self.level == "open":
            return plan
        rounds = msgspec.structs.replace(plan.rounds, min_sites=LEAST_SUMMED)
        privacy = Privacy(level=self.level, least_answers=LEAST_PATIENTS if self.least_patients else 0)
        return msgspec.structs.replace(plan, rounds=rounds, privacy=privacy)

    def _projection(self, modality: str, features: Floats, columns: int) -> Projection:
        if (folder := dict(self.bundles).get(modality)) is not None:
            projection = read_projection(Path(folder), read_manifest(Path(folder)))
            assert projection is not None, "the study names bundles with a projection"
            return projection.first(columns)
        axes = make_axes(features.astype(np.float64), Wanted(self.axes))
        return Projection(features.mean(axis=0), axes.astype(np.float32)).first(columns)


class TrainedInColumns:
    """What was trained, for features as encoders give them. It says nothing of imputation, which is in columns."""

    def __init__(self, trained: Trained, projections: Mapping[str, Projection]) -> None:
        self._trained, self._projections = trained, projections

    @property
    def costs(self) -> Costs:
        """As trained; a projection's multiply-adds are the encoder's."""
        return self._trained.costs

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]."""
        return self._trained.answer(_columns(features, self._projections), present)

    def impute(self, _features: ByModality, _present: Present) -> Mapping[str, Imputed]:
        """Nothing in the encoders' units."""
        return {}


def _projected(dataset: Dataset, projections: Mapping[str, Projection]) -> Dataset:
    columns = _columns(dataset.features, projections)
    shown = {m: np.where(dataset.present[m][:, None], values, np.float32(0)) for m, values in columns.items()}
    return dataclasses.replace(dataset, features=shown)


def _columns(features: ByModality, projections: Mapping[str, Projection]) -> dict[str, Floats]:
    """What has no projection stays as it is."""
    return {
        m: _onto(projections[m], values) if m in projections else values for m, values in features.items()
    }


def _onto(projection: Projection, features: Floats) -> Floats:
    """[n, dim] to [n, columns], also of no case."""
    columns: Floats = np.empty((len(features), len(projection)), np.float32)
    for place, row in enumerate(features):
        columns[place] = projection(row)
    return columns
