"""What a listener has: updates as sites send them, their sums as the aggregator makes them, and the models between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.leakage.people import LABELS, MODALITY, Floats, People
from benchmarks.study.rounds import Rounds
from fedfin.codec import Tensors
from fedfin.model.model_spec import Task, task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import MOST_OF_ONE_SCALE, Modality, Model, Privacy, Training
from fedfin.plan_sections import Rounds as RoundPolicy
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.schedule import last_round, task_of
from fedfin.protocol.site.effects import Work
from fedfin_aggregator.closed_form.denoised import denoised
from fedfin_aggregator.closed_form.groups import by_group
from fedfin_aggregator.fold.fold import Fold, FoldedMeans
from fedfin_aggregator.rounds.close import fold_update
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.update import make_update
from fedfin_edge.cases.dataset import Dataset

DELTA, NOISED_ROUNDS = 1e-5, 10
MOMENTS = f"norm.{MODALITY}.mean", f"norm.{MODALITY}.square"


@dataclass(frozen=True)
class Seen:
    """Values of a task by tensor name, float64, and the cases behind each: of one site, or of a sum of sites."""

    values: Mapping[str, Floats]
    weights: Mapping[str, int]


@dataclass(frozen=True)
class Listened:
    """A federation from its first round to its last.

    sent: by task, but for training, what each site sent; before: the model that each of these started from. models:
    that each round of training started from; first_site: what the first site's updates changed in it. final: the last.
    """

    plan: Plan
    sent: Mapping[Task, Sequence[Seen]]
    before: Mapping[Task, Tensors]
    models: Sequence[Tensors]
    first_site: Sequence[Tensors]
    final: Tensors

    @property
    def changes(self) -> list[Tensors]:
        """What each round of training changed: the mean over all sites, and what a sum of theirs tells."""
        trained, after = task_specs(self.plan, "train"), [*self.models[1:], self.final]
        return [
            {name: new[name] - old[name] for name in trained}
            for old, new in zip(self.models, after, strict=True)
        ]


def make_plan(dims: Mapping[str, int], rounds: int, epochs: int = 1) -> Plan:
    """As `draft` writes it, but for the end of training: all rounds are trained, to compare. epochs: 0 as `draft`."""
    return Plan(
        federation="leakage",
        labels=LABELS,
        modalities=tuple(_modality(name, dim) for name, dim in dims.items()),
        model=Model(basis_total=0),
        training=Training(epochs=epochs),
        rounds=RoundPolicy(count=rounds, patience=0, sites=1, min_sites=1),
    )


def with_noise(plan: Plan, epsilon: float, deviation: float, sites: int, patients: int) -> Plan:
    """The same with noise in its sums, and a linear head that trains under it, in fewer rounds, of less noise each.

    deviation: of public cases' features.
    """
    replace = msgspec.structs.replace
    return replace(
        plan,
        modalities=tuple(replace(modality, deviation=deviation) for modality in plan.modalities),
        model=Model(head_width=0, basis_total=0),
        training=Training(learning_rate=1.0),
        rounds=replace(
            plan.rounds, count=min(plan.rounds.count, NOISED_ROUNDS), sites=sites, min_sites=sites
        ),
        privacy=Privacy(level="private", epsilon=epsilon, delta=DELTA, patients=patients),
    )


def in_sums(plan: Plan, sites: int) -> Plan:
    """The same where the aggregator sees sums over so many sites alone, as `draft` writes it for three or more.

    But for `least_answers`: of the patients that are told apart here many have each answer, and nothing is left out. So
    the calibration is told by label here, which is more than all labels in one.
    """
    replace = msgspec.structs.replace
    rounds = replace(plan.rounds, sites=sites, min_sites=sites)
    return replace(plan, rounds=rounds, privacy=Privacy(level="secure"))


def _modality(name: str, dim: int) -> Modality:
    return Modality(
        name=name, encoder="0" * 64, dim=dim, scale="modality" if dim <= MOST_OF_ONE_SCALE else "feature"
    )


def send(plan: Plan, task: Task, number: int, model: Tensors, dataset: Dataset, site: str = "site-0") -> Seen:
    """A site's update, made by its own code, and read from the bytes that it would send."""
    work = Work(number, task, number - 1)
    callbacks = {"report": lambda *_: None, "stop": lambda: False}
    outbox = make_update(plan, work, model, dataset, site, "0" * 16, Feedback(""), **callbacks)  # type: ignore[arg-type]
    values, weights = open_update(decode_payload(outbox.payload, Update), task_specs(plan, task))
    return Seen({name: value.astype(np.float64) for name, value in values.items()}, weights)


def listen(plan: Plan, people: Sequence[People], held_out: Sequence[People] = ()) -> Listened:
    """Run the federation of these sites. held_out: who of each judges the final model; nobody does without."""
    sites = {f"site-{number}": one.dataset() for number, one in enumerate(people)}
    sent: dict[Task, list[Seen]] = {}
    before: dict[Task, Tensors] = {}
    models: list[Tensors] = []
    first_site: list[Tensors] = []

    def record(_number: int, site: str, change: Tensors) -> None:
        if site == "site-0":
            first_site.append(change)

    rounds = Rounds(plan, sites, record=record)
    for number in rounds.numbers:
        task = task_of(plan, number)
        if task == "train":
            models.append(rounds.model)
        else:
            before[task] = rounds.model
            sent[task] = [send(plan, task, number, rounds.model, data, site) for site, data in sites.items()]
        rounds.run(number)
    if held_out:
        before["evaluate"] = rounds.model
        judges = zip(sites, held_out, strict=True)
        sent["evaluate"] = [
            send(plan, "evaluate", last_round(plan), rounds.model, those.judging(), site)
            for site, those in judges
        ]
    return Listened(plan, sent, before, models, first_site, rounds.model)


def without_noise(plan: Plan, parts: Sequence[Seen]) -> Seen:
    """Second moments of all sites' noised ones, as far as the aggregator can tell: both halves of the patients."""
    fold = Fold()
    for one in parts:
        values = {name: value.astype(np.float32) for name, value in one.values.items()}
        fold_update(fold, "second_moments", values, one.weights, "")
    whole = Fold()
    for half in by_group(fold.sums):
        whole.merge(denoised(plan, half))
    return _means(whole)


def summed(parts: Sequence[Seen]) -> Seen:
    """As the aggregator folds them."""
    fold = Fold()
    for one in parts:
        fold.add({name: value.astype(np.float32) for name, value in one.values.items()}, one.weights)
    return _means(fold)


def _means(fold: Fold) -> Seen:
    return Seen(dict(FoldedMeans(fold.sums)), {name: sum_.weight for name, sum_ in fold.sums.items()})
