"""Experts of one exchange with noise, in the columns that the study projects to."""

import dataclasses
from dataclasses import dataclass, field

import msgspec
import numpy as np

from benchmarks.study.federation import Federation
from benchmarks.study.method import Floats, Progress, Trained
from benchmarks.study.methods.plan_method import PlanMethod, TrainedPlan
from fedfin.plan import Plan
from fedfin.plan_sections import Model, Privacy
from fedfin.protocol.schedule import first_training_round

EXPERTS = Model(answer="experts", basis_total=0)
WITH_HEAD = Model(answer="both", basis_total=0, head_width=0)


@dataclass(frozen=True)
class OneExchange(PlanMethod):
    """The plan's experts, from moments and second moments alone: no head is trained, which would not be asked."""

    def train(self, federation: Federation, progress: Progress) -> Trained:  # type: ignore[override] # nobody else asks
        """The rounds before any training."""
        from benchmarks.study.rounds import Rounds

        rounds = Rounds(self.plan(federation.plan), federation.sites)
        traffic = [rounds.run(number) for number in range(1, first_training_round(rounds.plan))]
        progress(1.0)
        up = sum(sum(each.up.values()) for each in traffic) / len(federation.sites)
        return TrainedPlan(rounds.plan, rounds.model, up, float(sum(each.down for each in traffic)))


@dataclass(frozen=True)
class PrivateExperts(OneExchange):
    """These under noise; deviations are those of the public cases."""

    privacy: Privacy = field(default_factory=lambda: Privacy(level="private"))

    def train(self, federation: Federation, progress: Progress) -> Trained:  # type: ignore[override] # as above
        """One round."""
        plan = noised(federation, EXPERTS, self.privacy)
        return super().train(dataclasses.replace(federation, plan=plan), progress)


@dataclass(frozen=True)
class PrivateHead(PlanMethod):
    """Experts under noise, and beside them a linear head that is trained and calibrated under noise, too."""

    privacy: Privacy = field(default_factory=lambda: Privacy(level="private"))
    rounds: int = 10

    def train(self, federation: Federation, progress: Progress) -> Trained:  # type: ignore[override] # as above
        """One round, then those of training, then calibration."""
        patients = sum(map(len, federation.sites.values()))
        privacy = msgspec.structs.replace(self.privacy, patients=patients)
        plan = noised(federation, WITH_HEAD, privacy)
        rounds = msgspec.structs.replace(plan.rounds, count=self.rounds)
        plan = msgspec.structs.replace(plan, rounds=rounds)
        return super().train(dataclasses.replace(federation, plan=plan), progress)


def noised(federation: Federation, model: Model, privacy: Privacy) -> Plan:
    """The federation's plan with noise in the sums of all its sites."""
    base, public, sites = federation.plan, federation.public, len(federation.sites)
    modalities = tuple(
        msgspec.structs.replace(m, deviation=_deviation(public.features[m.name][public.present[m.name]]))
        for m in base.modalities
    )
    rounds = msgspec.structs.replace(base.rounds, sites=sites, min_sites=sites)
    return msgspec.structs.replace(base, modalities=modalities, model=model, rounds=rounds, privacy=privacy)


def _deviation(features: Floats) -> float:
    return float(np.sqrt(features.astype(np.float64).var(axis=0).mean()))
