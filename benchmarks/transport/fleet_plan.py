"""The fleet's federation: a plan whose update has a wanted size, and updates that anyone can draw again.

Every site's values come from (seed, round, site's number), so the model that a round must give can be computed
without a network and compared with the one that the aggregator published.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.transport.stand_in_values import possible
from fedfin.codec import Shape, Shapes, Tensors
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import Task, task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol.schedule import last_round, task_of
from fedfin_aggregator.fold.fold import Fold, apply_means

FEDERATION = "fleet"
ENCODER = "0" * 64
LABELS = 8
MAX_DIM = 65_536  # of one modality (fedfin/plan_sections.py)
DEADLINE_S = 3600.0  # a round of the fleet is complete or the run has failed


@dataclass(frozen=True)
class Drawn:
    """What one site sends in one round."""

    values: Tensors
    weights: dict[str, int]
    metrics: dict[str, float]


def make_plan(*, sites: int, update_kb: float, rounds: int) -> Plan:
    """A linear head on one modality: `update_kb` * 1000 / 4 float32 weights, as near as its shape allows."""
    values = update_kb * 1000 / 4
    labels = max(LABELS, -(-int(values) // MAX_DIM))
    return Plan(
        federation=FEDERATION,
        labels=tuple(f"label-{number}" for number in range(labels)),
        modalities=(Modality(name="image", encoder=ENCODER, dim=max(1, round(values / labels) - 1)),),
        model=Model(answer="head", fin="zero", head_width=0),
        rounds=Rounds(count=rounds, sites=sites, min_sites=sites, deadline_s=DEADLINE_S),
    )


def site_name(number: int) -> str:
    """The id of the fleet's site `number`."""
    return f"site-{number:05d}"


def draw(plan: Plan, task: Task, round_: int, number: int) -> Drawn:
    """Values of the plan's shapes: small deltas, or moments or histograms that cases can give."""
    specs = shapes(plan, task)
    if task == "train":
        values = {name: _delta(plan.seed, round_, shape, number) for name, shape in specs.items()}
    else:
        values = possible(task, specs, np.random.default_rng([plan.seed, round_, number]))
    weight = (
        1 + number % 97
    )  # different sites count differently; 10,000 of them stay below limits.ROUND_WEIGHT
    return Drawn(values, dict.fromkeys(specs, weight), {"loss": 1.0 / (1 + number)})


@cache
def shapes(plan: Plan, task: Task) -> Shapes:
    """Of what an update of the task holds."""
    return task_specs(plan, task)


def _delta(seed: int, round_: int, shape: Shape, number: int) -> NDArray[np.float32]:
    """The round's values, turned by the site's number: what training would take is no affair of this machine's."""
    return np.roll(_deltas(seed, round_, math.prod(shape)), number).reshape(shape)


@lru_cache(8)
def _deltas(seed: int, round_: int, size: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng([seed, round_]).random(size, np.float32)
    return (drawn - np.float32(0.5)) * np.float32(0.02)


def expected_model(plan: Plan, sites: int) -> Tensors:
    """The final model: every round's updates of all `sites`, folded here."""
    model = initial_model(plan)
    for round_ in range(1, last_round(plan)):
        task, fold = task_of(plan, round_), Fold()
        for number in range(sites):
            drawn = draw(plan, task, round_, number)
            fold.add(drawn.values, drawn.weights)
        model = apply_means(model, fold.means(), replace=task == "moments")
    return model
