"""Site machines and an aggregator machine, joined through links and a broker that misbehave."""

import random
import tempfile
from pathlib import Path

import pytest
from lossy_world import PLAN, SITES, Faults, World

from fedfin.protocol.round_life import State
from fedfin.protocol.schedule import last_round

SEEDS = 200
BATCH = 20


def _run(seed: int, faults: Faults) -> World:
    with tempfile.TemporaryDirectory() as folder:
        world = World(seed, faults, Path(folder))
        try:
            world.run()
            _check(world)
            world.final = world.server.journal.model(world.server.journal.newest_version())
        finally:
            world.server.journal.close()
    return world


def _check(world: World) -> None:
    journal = world.server.journal
    rounds = range(1, last_round(PLAN) + 1)
    assert world.server.machine.state in {State.FINISHED, State.STARTING}  # starting: crashed after the end
    assert [row.results["sites"] for row in journal.rounds()] == [float(len(SITES))] * len(rounds)
    assert world.server.accepted == {(round_, site): 1 for round_ in rounds for site in SITES}
    final = journal.model(journal.newest_version())
    for name, site in world.sites.items():
        assert site.disk.model == final, name
        assert all(accepted for _, accepted, _ in site.disk.answers), (name, site.disk.answers)


@pytest.fixture(scope="module")
def undisturbed() -> bytes:
    return _run(0, Faults()).final


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_loss_repetition_reordering_cut_or_crash_changes_the_model(first: int, undisturbed: bytes) -> None:
    """Every machine ends finished, with the undisturbed run's bytes; nothing is counted twice or denied later.

    A failing seed can be replayed: `_run(seed, Faults.draw(random.Random(seed)))`.
    """
    for seed in range(first, first + BATCH):
        faults = Faults.draw(random.Random(seed))
        try:
            final = _run(seed, faults).final
        except Exception as error:
            raise AssertionError(f"seed {seed}, {faults}: {error!r}") from error
        assert final == undisturbed, f"seed {seed}, {faults}: another model"


def test_the_faults_do_happen() -> None:
    """The bad days above are bad: crashes of the aggregator, cuts and losses are all among them."""
    days = [Faults.draw(random.Random(seed)) for seed in range(SEEDS)]
    worst = [d for d in days if d.drop and d.repeat and d.cut and d.crash and d.delay > 1]
    assert len(worst) > 5
    seed = days.index(worst[0])
    world = _run(seed, worst[0])
    assert world.budget < worst[0].budget
