"""A tiny plan, and updates for it."""

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.transport.stand_in_values import possible
from fedfin.codec import compress
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol.payloads import encode_update
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.store.journal import Journal

PLAN = Plan(
    federation="ward",
    labels=("x", "y"),
    modalities=(
        Modality(name="image", encoder="a" * 64, dim=3),
        Modality(name="text", encoder="b" * 64, dim=2),
    ),
    model=Model(answer="head", fin="mlp", fin_width=8, fin_layers=1, head_width=0),
    rounds=RoundsPlan(count=2, sites=3, min_sites=1, deadline_s=60.0),
)

RUN = "1" * 16  # of every journal in these tests (conftest.py)

# What a site of this plan sends with each task; test_show_losses.py holds that a real one sends these names.
METRICS = {
    "moments": {"cases": 5.0},
    "train": {"cases": 5.0, "label_loss": 0.25, "fin_loss": 0.75},
    "calibrate": {"cases": 5.0},
    "evaluate": {"cases": 5.0},
}


def update(
    site: str, round_: int, base: int, *, tensors=None, weight: int = 5, plan_: Plan = PLAN, **changes
) -> bytes:
    """An honest update, or one with changes."""
    task = task_of(plan_, round_)
    rng = np.random.default_rng([*site.encode(), round_])
    if tensors is None:
        tensors = possible(task, task_specs(plan_, task), rng)
    shapes = task_specs(plan_, task)
    facts = {"site": site, "plan": plan_.digest(), "run": RUN, "round_": round_, "task": task, "base": base}
    metrics = {"metrics": METRICS[task]}
    body = compress(tensors, shapes, "exact").body
    return encode_update(body, dict.fromkeys(tensors, weight), shapes, **(facts | metrics | changes))


def judge(rounds: Rounds, site: str, payload: bytes):
    """As the server does, in the current round."""
    return rounds.judge(rounds.position.round, site, hashlib.sha256(payload).digest(), payload)


def new_rounds(folder: Path) -> Rounds:
    """A fresh aggregator."""
    return Rounds(Journal(folder / "journal.sqlite", create=PLAN))


def reopened(rounds: Rounds, folder: Path) -> Rounds:
    """After the process died and was started again."""
    rounds.journal.close()
    return Rounds(Journal(folder / "journal.sqlite"))


def play(rounds: Rounds, sites=("s0", "s1", "s2"), *, plan: Plan = PLAN) -> None:
    """One whole round."""
    at = rounds.position
    for site in sites:
        assert judge(rounds, site, update(site, at.round, at.version, plan_=plan)).accepted
    rounds.close(at.round)
