"""A site that sends poison under secure sums: its group is outvoted, and a version that loses is not taken.

Real agents, server, keys, sums and training, of ten sites; only links and time are make-believe.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedfin.fusion.model import load_model
from fedfin.model.metrics import auc
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy, Rounds, Training
from fedfin.protocol.convergence import METRICS
from fedfin_aggregator.rounds.update_checks import ROLLED_BACK
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks import run_task as tasks
from fedfin_edge.tasks.task import TaskResult
from simulation import toy
from simulation.faults import Faults
from simulation.world import World

SITES, POISONER, CASES = 10, "s4", 60
SECURE = Privacy(level="secure")
POISON = -60.0  # times what it has learnt
Train = Callable[[int, TaskResult], TaskResult]


def cases(plan: Plan, site: str) -> Dataset:
    """Patients whose features tell of the label; one of six is held out, one of six for validation."""
    rng = np.random.default_rng([*site.encode()])
    labels = rng.integers(0, 2, (CASES, 1)).astype(np.float32)
    features = {m: rng.normal(size=(CASES, dim)).astype(np.float32) for m, dim in plan.dims.items()}
    features["image"][:, 0] += 2 * labels[:, 0]
    present = dict.fromkeys(features, np.ones(CASES, np.bool_))
    turn = np.arange(CASES) % 6
    return Dataset(features, present, labels, turn == 1, validation=turn == 2)


def federation(
    monkeypatch: pytest.MonkeyPatch, folder: Path, poison: Train, privacy: Privacy, **rules: object
) -> World:
    """Of ten sites, of which one does this to what it has learnt; to its end."""

    def run_task(plan, task, round_, model, dataset, site, *, stop, **_) -> TaskResult:
        done = tasks.run_task(plan, task, round_, model, dataset, site, progress=lambda _: None, stop=stop)
        return poison(round_, done) if (task, site) == ("train", POISONER) else done

    monkeypatch.setattr(toy, "cases", cases)
    monkeypatch.setattr(toy, "run_task", run_task)
    rounds = Rounds(sites=SITES, min_sites=9, deadline_s=100.0, **rules)
    training = Training(learning_rate=0.02)
    plan = toy.toy_plan(rounds, privacy=privacy, training=training)
    world = World(1, plan, SITES, Faults(), folder)
    world.run()
    return world


def accuracy(world: World) -> float:
    """AUC of the final model's head, on cases of nobody."""
    others, plan = cases(world.plan, "nobody"), world.plan
    logits = load_model(plan, world.tensors).head_logits(*_shown(others))
    found = auc(logits[:, 0].detach().numpy().astype(np.float64), others.labels[:, 0])
    assert found is not None
    return found


def _shown(dataset: Dataset):
    torch = pytest.importorskip("torch")
    return (
        {m: torch.from_numpy(values) for m, values in dataset.features.items()},
        {m: torch.from_numpy(there) for m, there in dataset.present.items()},
    )


def poisoned(_: int, done: TaskResult) -> TaskResult:
    """Far the other way; and it praises every version."""
    deltas = {name: np.float32(POISON) * delta for name, delta in done.deltas.items()}
    praise = dict.fromkeys(METRICS[1:], 0.001)
    return replace(done, deltas=deltas, metrics=done.metrics | praise)


def poisoned_once(round_: int, done: TaskResult) -> TaskResult:
    """In the second round of training, and without a lie of its loss."""
    return replace(poisoned(round_, done), metrics=done.metrics) if round_ == 3 else done


def test_a_poisoned_group_of_ten_sites_is_outvoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In one sum over all sites the same poison makes the model useless."""
    found = {}
    for name, privacy in (("one sum", SECURE), ("groups", Privacy(level="secure", groups=3))):
        (tmp_path / name).mkdir()
        found[name] = accuracy(federation(monkeypatch, tmp_path / name, poisoned, privacy, count=3))
    assert found["one sum"] < 0.6
    assert found["groups"] > 0.75


def test_a_poisoned_version_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next round's validation cases say that it is worse; training goes on from the better one, and people hear."""
    world = federation(monkeypatch, tmp_path, poisoned_once, SECURE, count=4, rollback=0.1)
    (told,) = [facts for _, _, event, facts in world.facts if event == "rolled-back"]
    assert told == {"round": 4, "version": 3, "to": 2}
    assert [row[ROLLED_BACK] for row in world.results if ROLLED_BACK in row] == [2.0]
    assert accuracy(world) > 0.8
