"""Methods that the project itself has: a changed plan, trained by its own rounds, answered by its own model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from fedfin.plan import Plan
from fedfin.protocol.schedule import first_training_round, last_round
from fedfin_edge.cases.dataset import Dataset

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class PlanMethod:
    """model, training: what differs from the study's plan in these sections, by key."""

    name: str
    model: Changes = field(default_factory=dict)
    training: Changes = field(default_factory=dict)

    def train(
        self,
        federation: Federation,
        progress: Progress,
        *,
        trust: Mapping[str, float] | None = None,
        trains: Mapping[str, Dataset] | None = None,
    ) -> Trained:
        """Run every round of the changed plan. `trust`: a factor to each site's weight.

        `trains`: the sites from the first round of training on, if they are others. Raises msgspec.ValidationError for
        a change that no plan allows.
        """
        from benchmarks.study.rounds import Rounds

        rounds = Rounds(self.plan(federation.plan), federation.sites, trust=trust)
        up = down = 0.0
        for number in rounds.numbers:
            if trains is not None and number == first_training_round(rounds.plan):
                rounds.replace(trains)
            traffic = rounds.run(number)
            up += sum(traffic.up.values()) / len(federation.sites)
            down += traffic.down
            progress(number / last_round(rounds.plan))
        return TrainedPlan(rounds.plan, rounds.model, up, down)

    def plan(self, base: Plan) -> Plan:
        """The plan that trains, checked anew."""
        changed = msgspec.structs.replace(
            base,
            model=msgspec.structs.replace(base.model, **self.model),
            training=msgspec.structs.replace(base.training, **self.training),
        )
        return msgspec.convert(msgspec.to_builtins(changed), Plan)

    def changed(self, section: str, key: str, value: Any) -> "PlanMethod":
        """The same with one more change, named for it. `section`: "model" or "training"."""
        name = f"{self.name}/{key}={value}"
        changes = {**getattr(self, section), key: value}
        if section == "model":
            return replace(self, name=name, model=changes)
        return replace(self, name=name, training=changes)


class TrainedPlan:
    """A plan's model at work."""

    def __init__(self, plan: Plan, tensors: Mapping[str, Any], up: float, down: float) -> None:
        from benchmarks.study.fusion_answers import FusionAnswers

        self._answers = FusionAnswers(plan, tensors)
        self._up, self._down = up, down

    @property
    def costs(self) -> Costs:
        """Bytes as counted; multiply-adds of a case of which one modality is there."""
        return Costs(self._up, self._down, self._answers.multiply_adds())

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]."""
        return self._answers.probability(features, present)

    def impute(self, features: ByModality, present: Present) -> Mapping[str, Imputed]:
        """FIN's estimates in the encoders' units, with the variance that the model claims, if it does."""
        return self._answers.impute(features, present)
