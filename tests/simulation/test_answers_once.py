"""A site that loses its state again and again never answers a round twice, and goes on with those that follow."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from fedfin.plan_sections import Privacy, Rounds
from simulation.faults import CrashError, Faults
from simulation.toy import solved_plan, toy_plan
from simulation.world import World


def lose_state(world: World, event: str, *, times: int) -> Counter[str]:
    """At each such event of s2, so many times: it dies, and its state is gone. How often that happened, by event."""
    site, lives = world.sites[2], Counter[str]()

    def strike(who: str, what: str, _: dict) -> None:
        if (who, what) == ("s2", event) and lives[event] < times:
            lives[event] += 1
            shutil.rmtree(site.folder / "state")
            site.unflushed.clear()
            raise CrashError

    world.on_report = strike
    return lives


@pytest.mark.parametrize("make", [toy_plan, solved_plan])
@pytest.mark.parametrize("event", ["received", "round", "joined"])
def test_a_round_is_answered_once_whenever_the_state_is_lost(event: str, make, tmp_path: Path) -> None:
    """At every receipt, at every round that it begins, whenever it joins in: the watch (watch.py) sees each offer."""
    rounds = Rounds(count=5, sites=3, min_sites=2, deadline_s=1000.0)
    world = World(1, make(rounds), 3, Faults(), tmp_path)
    site = world.sites[2]
    for other in world.sites[:2]:
        other.training_s = 60.0, 70.0  # the round is still open when the site is back
    site.training_s = 0.1, 0.2

    lives = lose_state(world, event, times=6)
    world.run()
    assert lives[event] == 6
    assert all(row["sites"] >= 2 for row in world.results)
    answered = [
        line for line in (site.folder / "answers.jsonl").read_text().splitlines() if '"answer"' in line
    ]
    assert answered
    if event == "received":
        assert world.tally["answered-before"] >= 3


@pytest.mark.parametrize("event", ["received", "round", "sending"])
def test_sums_stay_exact_and_apart_whenever_the_state_is_lost(event: str, tmp_path: Path) -> None:
    """The watch sees each sum (sum_watch.py), of the others or of all; what the site revealed it knows all the same."""
    rounds = Rounds(count=3, sites=5, min_sites=3, deadline_s=200.0)
    world = World(1, toy_plan(rounds, privacy=Privacy(level="secure")), 5, Faults(), tmp_path)
    lives = lose_state(world, event, times=4)
    world.run()
    assert lives[event] == 4
    assert world.watch.sums.opened == len(world.results)
    assert all(row["sites"] >= 4 for row in world.results)
