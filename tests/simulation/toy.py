"""A tiny plan, and training in no time whose result depends on everything it may depend on."""

import random

import numpy as np

from benchmarks.transport.stand_in_values import possible
from fedfin.model.model_spec import MAGNITUDES, task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds
from fedfin.protocol.convergence import ANSWERS, LOSSES
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks import run_task as tasks
from fedfin_edge.tasks.task import TaskResult, TaskStoppedError

ENCODER = "a" * 64
BEST = 4  # the round whose version is the best of all


def toy_plan(rounds: Rounds, **parts) -> Plan:
    """A model of some 2 KB, which is a few chunks, in few tensors, which is what costs time."""
    modalities = (
        Modality(name="image", encoder=ENCODER, dim=32),
        Modality(name="text", encoder=ENCODER, dim=16),
    )
    defaults = {"model": Model(answer="head", fin="zero", head_width=8), "modalities": modalities}
    return Plan(federation="ward", labels=("effusion",), rounds=rounds, **(defaults | parts))


def solved_plan(rounds: Rounds, **parts) -> Plan:
    """Half of its answer is solved from second moments, of which there are few."""
    modalities = (
        Modality(name="image", encoder=ENCODER, dim=6),
        Modality(name="text", encoder=ENCODER, dim=4),
    )
    model = Model(answer="both", fin="gaussian", head_width=8, basis_total=0)
    return toy_plan(rounds, model=model, modalities=modalities, **parts)


def private_plan(rounds: Rounds, **parts) -> Plan:
    """With noise in every sum; a head trains and is calibrated beside the experts."""
    modalities = tuple(
        Modality(name=name, encoder=ENCODER, dim=dim, scale="modality", deviation=1.0)
        for name, dim in (("image", 4), ("text", 3))
    )
    model = Model(answer="both", fin="gaussian", head_width=0, basis_total=0)
    privacy = Privacy(level="private", epsilon=8.0, patients=30)
    return toy_plan(rounds, model=model, modalities=modalities, privacy=privacy, **parts)


def run_task(plan: Plan, task, round_: int, model, dataset, site: str, *, stop, **_) -> TaskResult:
    """Depends on site, round, task, and every value of the model it starts from."""
    if stop():
        raise TaskStoppedError
    if task == "second_moments" or plan.privacy.noised:
        cases_ = cases(plan, site)
        return tasks.run_task(plan, task, round_, model, cases_, site, progress=lambda _: None, stop=stop)
    rng = np.random.default_rng([*site.encode(), round_])
    deltas, weights = {}, {}
    lacks = ".text." if _has_no_text(plan, site) else "of all there is"
    count = int(rng.integers(1, 100))
    shapes = {
        name: shape
        for name, shape in task_specs(plan, task).items()
        if name != MAGNITUDES and lacks not in f"{name}."
    }
    for name, values in possible(task, shapes, rng).items():
        drift = 0.1 * float(np.mean(model[name])) if task == "train" else 0.0
        deltas[name] = values + np.float32(drift)
        weights[name] = int(rng.integers(1, 100)) if task == "train" else count
    return TaskResult(deltas, weights, _metrics(plan, task, round_))


def _has_no_text(plan: Plan, site: str) -> bool:
    """Where the plan asks for sites behind every block, the first three have texts: without one of them nobody has."""
    return bool(plan.privacy.least_sites_per_block) and site not in {"s0", "s1", "s2"}


def _metrics(plan: Plan, task, round_: int) -> dict[str, float]:
    """The version that round BEST starts from has the least held-out loss."""
    if task != "train" or not plan.rounds.stops_after:
        return {"loss": 1.0}
    return {ANSWERS: 1.0} | dict.fromkeys(LOSSES.values(), 1.0 + (round_ - BEST) ** 2)


def cases(plan: Plan, site: str) -> Dataset:
    """Some of every site, of which half have no text: second moments must be those of cases."""
    rng, count = np.random.default_rng([*site.encode()]), 10
    present = {m: np.arange(count) >= count * place // 2 for place, m in enumerate(plan.dims)}
    if _has_no_text(plan, site):
        present["text"] = np.zeros(count, np.bool_)
    features = {
        m: (rng.normal(size=(count, dim)) * present[m][:, None]).astype(np.float32)
        for m, dim in plan.dims.items()
    }
    labels = rng.integers(0, 2, (count, len(plan.labels))).astype(np.float32)
    return Dataset(features, present, labels, np.arange(count) % 5 == 1, validation=np.arange(count) % 5 == 2)


def hexadecimal(rng: random.Random, size: int) -> str:
    """secrets.token_hex on a seed."""
    return rng.randbytes(size).hex()
