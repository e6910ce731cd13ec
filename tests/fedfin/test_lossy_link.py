"""Site machines and an aggregator machine, joined through links and a broker that misbehave."""

import random
import tempfile
from pathlib import Path

import pytest
from lossy_world import LOSSY, PLAN, SITES, Faults, World

from fedfin.plan import Plan
from fedfin.protocol.round_life import State
from fedfin.protocol.schedule import last_round

SEEDS = 200
BATCH = 20
MEMORY = Path("/dev/shm")  # where there is one: thousands of files a run, none of which must last
PLANS = {"exact": PLAN, "lossy": LOSSY}


def _run(seed: int, faults: Faults, plan: Plan = PLAN) -> World:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(seed, faults, Path(folder), plan)
        try:
            world.run()
            _check(world)
            world.final = world.server.rounds.position.model
        finally:
            world.server.journal.close()
    return world


def _check(world: World) -> None:
    journal = world.server.journal
    rounds = range(1, last_round(world.plan) + 1)
    assert world.server.machine.state in {State.FINISHED, State.STARTING}  # starting: crashed after the end
    assert [row.results["sites"] for row in journal.rounds()] == [float(len(SITES))] * len(rounds)
    assert world.server.accepted == {(round_, site): 1 for round_ in rounds for site in SITES}
    for name, site in world.sites.items():
        assert site.state.model.id == world.server.rounds.position.model, name
        assert all(accepted for _, accepted, _ in site.answers), (name, site.answers)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, bytes]:
    return {name: _run(0, Faults(), plan).final for name, plan in PLANS.items()}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_loss_repetition_reordering_cut_or_crash_changes_the_model(
    first: int, plan: str, undisturbed: dict[str, bytes]
) -> None:
    """Every machine ends finished, with the undisturbed run's bytes; nothing is counted twice or denied later.

    A failing seed can be replayed: `_run(seed, Faults.draw(random.Random(seed)), PLANS[plan])`.
    """
    for seed in range(first, first + BATCH):
        faults = Faults.draw(random.Random(seed))
        try:
            final = _run(seed, faults, PLANS[plan]).final
        except Exception as error:
            raise AssertionError(f"seed {seed}, {faults}: {error!r}") from error
        assert final == undisturbed[plan], f"seed {seed}, {faults}: another model"


def test_the_faults_do_happen() -> None:
    """The bad days above are bad: crashes of the aggregator, cuts and losses are all among them."""
    days = [Faults.draw(random.Random(seed)) for seed in range(SEEDS)]
    worst = [d for d in days if d.drop and d.repeat and d.cut and d.crash and d.delay > 1]
    assert len(worst) > 5
    seed = days.index(worst[0])
    world = _run(seed, worst[0])
    assert world.budget < worst[0].budget
