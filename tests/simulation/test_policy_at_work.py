"""The round policy in whole federations: what sites that die, hang, come late or are slow cost the others."""

from pathlib import Path

import pytest

from fedfin import limits
from fedfin.plan_sections import Rounds
from simulation.faults import CrashError, Faults
from simulation.toy import toy_plan
from simulation.world import World

DEADLINE = 2000.0
CALM_S = 400.0  # eight rounds in which nothing happens take less
ROUNDS = 8


def _world(folder: Path, *, sites: int = 3, **rules) -> World:
    rounds = Rounds(**({"count": ROUNDS - 2, "patience": 0, "sites": sites, "deadline_s": DEADLINE} | rules))
    return World(1, toy_plan(rounds), sites, Faults(), folder)


def _sites_by_round(world: World) -> list[int]:
    return [int(row["sites"]) for row in world.results]


def _kill_at_work(world: World, name: str, *, from_round: int, for_ever: bool) -> None:
    """The site dies whenever it begins to work on this round or a later one."""
    site = world.sites[int(name[1:])]
    site.awaited = False

    def strike(who: str, what: str, facts: dict) -> None:
        if (who, what) == (name, "round") and facts["round"] >= from_round:
            site.gone = for_ever
            raise CrashError

    world.on_report = strike


def test_nothing_happens_for_comparison(tmp_path: Path) -> None:
    """All three sites in every round, and how long that takes."""
    world = _world(tmp_path)
    world.run()
    assert _sites_by_round(world) == [3] * ROUNDS
    assert world.clock.now < CALM_S


def test_a_site_that_hangs_costs_one_deadline(tmp_path: Path) -> None:
    """It is online and answers nothing: the first round waits for it, no later one does."""
    world = _world(tmp_path)
    world.sites[2].training_s, world.sites[2].awaited = (1e6, 1e6), False
    world.run()
    assert _sites_by_round(world) == [2] * ROUNDS
    assert DEADLINE < world.clock.now < DEADLINE + CALM_S


def test_a_site_that_dies_again_and_again_costs_one_deadline(tmp_path: Path) -> None:
    """Each life says hello and gets as far as its work."""
    world = _world(tmp_path)
    _kill_at_work(world, "s2", from_round=3, for_ever=False)
    world.run()
    assert _sites_by_round(world) == [3, 3] + [2] * (ROUNDS - 2)
    assert world.tally["joined"] > 10
    assert DEADLINE < world.clock.now < DEADLINE + CALM_S


def test_a_site_that_is_switched_off_costs_less_than_a_deadline(tmp_path: Path) -> None:
    """The broker tells; it is waited for as long as a broken link takes."""
    world = _world(tmp_path)
    _kill_at_work(world, "s2", from_round=3, for_ever=True)
    world.run()
    assert _sites_by_round(world) == [3, 3] + [2] * (ROUNDS - 2)
    assert world.clock.now < limits.OFFLINE_GRACE_S + CALM_S


def test_a_site_that_joins_late_takes_part_from_then_on(tmp_path: Path) -> None:
    """In the round that is open, or the next."""
    world = _world(tmp_path, deadline_s=30.0)
    world.sites[2].asleep_s = 100.0
    world.run()
    counts = _sites_by_round(world)
    assert counts[0] == 2
    assert counts[-2:] == [3, 3]


def test_below_the_quorum_the_round_waits_and_says_for_whom(tmp_path: Path) -> None:
    """Nothing is folded without the quorum, however long that takes."""
    world = _world(tmp_path, min_sites=3)
    world.sites[2].asleep_s = 3 * DEADLINE
    world.run()
    assert _sites_by_round(world) == [3] * ROUNDS
    stalled = [facts for _, _, event, facts in world.facts if event == "stalled"]
    assert [(s["accepted"], s["quorum"]) for s in stalled] == [(2, 3)] * 3


@pytest.mark.parametrize("late", ["reject", "fold"])
def test_a_slow_site_costs_one_deadline_and_is_folded_late_if_the_plan_says_so(
    tmp_path: Path, late: str
) -> None:
    """Its training takes one and a half deadlines."""
    world = _world(tmp_path, late=late, deadline_s=100.0, count=20)
    for site in world.sites[:2]:
        site.training_s = 20.0, 25.0
    world.sites[2].training_s = 150.0, 150.0
    world.run()
    lates = sum(int(row.get("late", 0)) for row in world.results)
    assert lates == 0 if late == "reject" else lates > 1
    assert world.clock.now < 100.0 + 22 * 30.0


def test_asynchronous_sites_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A site twenty times slower than the others neither holds them up nor works for nothing."""
    world = _world(tmp_path, mode="async", buffer=2, count=40, staleness_limit=100)
    for site in world.sites[:2]:
        site.training_s = 5.0, 10.0
    world.sites[2].training_s = 150.0, 150.0
    world.run()
    training = world.results[1:-1]
    assert all(row["sites"] >= 2 for row in training)
    assert sum(row.get("late", 0.0) for row in training) >= 2
    assert world.clock.now < 40 * 25.0 + 2 * 150.0
