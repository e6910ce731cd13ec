"""How well members are told from others by the sums of training with noise, round after round: docs/privacy.md.

    python -m benchmarks.training_membership

AUC from the first round / the last one / all of them, by who knows a candidate's record and labels, and from 2,000
others what records of the population add: the likelihood ratio of two normal distributions that are his clipped
gradient apart, multiplied over rounds as if these were of different patients. Ten sites, ten rounds, half of the budget
for them, a linear head, delta 1e-5; features are jointly normal, one label follows from them. Epsilon 100 is next to no
noise. Mean of three draws.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.metrics import auc
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds, Training
from fedfin.privacy.clipping import STEPS, clipped
from fedfin.privacy.contributions import NORM
from fedfin.privacy.shared_noise import share_of
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.fold.fold import Sum, apply_means
from fedfin_aggregator.rounds.noised_training import descent
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.noised_training import downhill, noised_gradients

EPSILONS = (100.0, 8.0, 1.0)
FEDERATIONS = ((8, 72), (16, 72))  # dimensions, patients of a site
SITES, LABELS, ROUNDS, REFERENCE, TRIES, DELTA = 10, 6, 10, 2000, 3, 1e-5

Floats = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32] | Floats]


def table() -> Table:
    """A line for each number of dimensions and patients."""
    shown = Table("dimensions", "patients", *(f"epsilon {epsilon:g}" for epsilon in EPSILONS))
    for dims, patients in FEDERATIONS:
        shown.add_row(
            str(dims), f"{SITES} x {patients}", *(_cell(dims, patients, epsilon) for epsilon in EPSILONS)
        )
    return shown


def _cell(dims: int, patients: int, epsilon: float) -> str:
    found = np.mean([attack(dims, patients, epsilon, seed) for seed in range(TRIES)], axis=0)
    return " / ".join(f"{value:.2f}" for value in found)


def attack(
    dims: int, patients: int, epsilon: float, seed: int, rounds: int = ROUNDS
) -> tuple[float, float, float]:
    """AUC from the first round, the last, and all."""
    plan, rng = _plan(dims, SITES * patients, epsilon, rounds), np.random.default_rng([dims, patients, seed])
    sites = [_people(patients, dims, rng) for _ in range(SITES)]
    others, reference = (_people(count, dims, rng) for count in (SITES * patients, REFERENCE))
    model, ratios = initial_model(plan), []
    for _ in range(rounds):
        fusion = load_model(plan, model)
        total = _total([noised_gradients(fusion, plan, site) for site in sites])
        usual, *own = (
            np.concatenate([_added(plan, model, part) for part in parts])
            for parts in ([reference], sites, [others])
        )
        ratios.append(_log_ratio(plan, _flat(plan, total), usual, np.concatenate(own), SITES * patients))
        sums = {n: Sum(np.rint(values * ONE).astype(np.int64), SITES) for n, values in total.items()}
        model = apply_means(model, descent(plan, sums), replace=False)
    is_member = np.arange(2 * SITES * patients) < SITES * patients
    return _auc(ratios[0], is_member), _auc(ratios[-1], is_member), _auc(np.sum(ratios, axis=0), is_member)


def _log_ratio(plan: Plan, total: Floats, usual: Floats, own: Floats, patients: int) -> Floats:
    """How much likelier the sum is with each candidate in it, [candidates]. usual, own: [cases, values]."""
    noise = SITES * share_of(plan, "train") / STEPS**2
    spread = patients * np.cov(usual.T) + noise * np.eye(len(total))
    away = own - usual.mean(axis=0)
    solved = np.linalg.solve(spread, away.T).T
    found: Floats = solved @ (total - patients * usual.mean(axis=0)) - np.einsum("nv,nv->n", solved, away) / 2
    return found


def _added(plan: Plan, model: dict[str, NDArray[np.float32]], people: Dataset) -> Floats:
    """By each of them, clipped, [cases, values]."""
    added = downhill(load_model(plan, model), plan, people, np.arange(len(people)))
    return clipped(
        np.concatenate([added[n].reshape(len(people), -1) for n in task_specs(plan, "train")], axis=1), NORM
    )


def _flat(plan: Plan, tensors: Tensors) -> Floats:
    return np.concatenate([tensors[name].ravel() for name in task_specs(plan, "train")]).astype(np.float64)


def _total(parts: Sequence[Tensors]) -> dict[str, Floats]:
    return {name: np.sum([part[name] for part in parts], axis=0, dtype=np.float64) for name in parts[0]}


def _auc(scores: Floats, is_member: NDArray[np.bool_]) -> float:
    found = auc(scores, is_member.astype(np.float64))
    assert found is not None, "there are both"
    return found


def _people(count: int, dims: int, rng: np.random.Generator) -> Dataset:
    features = rng.standard_normal((count, dims)).astype(np.float32)
    labels = rng.random((count, LABELS)) < 0.2
    labels[:, 0] = features[:, 0] + rng.logistic(size=count) > 1
    everyone = np.ones(count, np.bool_)
    return Dataset({"image": features}, {"image": everyone}, labels.astype(np.float32), ~everyone)


def _plan(dims: int, patients: int, epsilon: float, rounds: int) -> Plan:
    return Plan(
        federation="benchmark",
        labels=tuple(f"l{place}" for place in range(LABELS)),
        modalities=(Modality(name="image", encoder="0" * 64, dim=dims, scale="modality", deviation=1.0),),
        model=Model(answer="head", head_width=0, basis_total=0),
        training=Training(learning_rate=1.0),
        rounds=Rounds(sites=SITES, min_sites=SITES, count=rounds),
        privacy=Privacy(level="private", epsilon=epsilon, delta=DELTA, patients=patients),
    )


if __name__ == "__main__":
    Console(width=120).print(table())
