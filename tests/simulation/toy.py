"""A tiny plan, and training in no time whose result depends on everything it may depend on."""

import random

import numpy as np

from edge_client.trainer import TaskResult, TaskStoppedError
from fedfin.model_spec import task_specs
from fedfin.plan import Modality, Model, Plan, Rounds

ENCODER = "a" * 64


def toy_plan(rounds: Rounds, **parts) -> Plan:
    """A model of some 2 KB, which is a few chunks, in few tensors, which is what costs time."""
    modalities = (
        Modality(name="image", encoder=ENCODER, dim=32),
        Modality(name="text", encoder=ENCODER, dim=16),
    )
    model = Model(answer="head", fin="zero", head_width=8)
    return Plan(
        federation="ward", labels=("effusion",), modalities=modalities, model=model, rounds=rounds, **parts
    )


def run_task(plan: Plan, task, round_: int, model, dataset, site: str, *, stop, **_) -> TaskResult:
    """Depends on site, round, task, and every value of the model it starts from."""
    if stop():
        raise TaskStoppedError
    rng = np.random.default_rng([*site.encode(), round_])
    deltas, weights = {}, {}
    for name, shape in task_specs(plan, task).items():
        drift = 0.1 * float(np.mean(model[name])) if name in model else 0.0
        deltas[name] = (rng.random(shape) + drift).astype(np.float32)
        weights[name] = int(rng.integers(1, 100))
    return TaskResult(deltas, weights, {"loss": 1.0})


def hexadecimal(rng: random.Random, size: int) -> str:
    """secrets.token_hex on a seed."""
    return rng.randbytes(size).hex()
