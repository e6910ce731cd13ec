"""A site whose part in secure sums is of no use to others: people read who it is, and the run comes to its end."""

import contextlib
from pathlib import Path

import pytest
from rich.console import Console

from fedfin.plan_sections import Privacy, Rounds
from fedfin.protocol.rounds.attempts import GIVEN_UP, MOST_ATTEMPTS
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import print_summary, summary
from simulation.bad_dealer import BadDealer
from simulation.faults import Faults
from simulation.toy import toy_plan
from simulation.world import World


def run(folder: Path, sites: int, habit: str, **when: int) -> World:
    """A run of three rounds of training and what is round them, to its end; s0 is the bad one."""
    rounds = Rounds(count=3, sites=sites, min_sites=3, deadline_s=100.0)
    world = World(1, toy_plan(rounds, privacy=Privacy(level="secure")), sites, Faults(), folder)
    world.bad_dealer = BadDealer(world.rng, "s0", habit, **when)
    world.run()
    return world


def told(world: World, event: str) -> list[dict]:
    """All of these."""
    return [facts for _, _, name, facts in world.facts if name == event]


@pytest.mark.parametrize("habit", ["shares for all", "key"])
def test_who_deals_what_is_of_no_use_is_named_and_the_others_make_the_sums(
    habit: str, tmp_path: Path
) -> None:
    """No deadline passes for it."""
    world = run(tmp_path, 5, habit)
    bad = told(world, "bad-dealing")
    rounds = [facts["round"] for facts in bad]
    assert rounds[0] == 1, "of a later sum it may have come too late to be asked"
    assert len({*rounds}) == len(rounds) > 1
    assert {facts["site"] for facts in bad} == {"s0"}
    said = "could not open what it has dealt" if habit == "shares for all" else "small order"
    assert all(said in facts["reason"] for facts in bad)
    assert [row["sites"] for row in world.results] == [4.0] * len(world.results)
    assert not told(world, "stalled")


def test_where_all_are_needed_a_round_of_training_closes_without_a_sum_and_show_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After so many attempts; with each deadline all are let in again."""
    world = run(tmp_path, 3, "shares for all", first=2, most=MOST_ATTEMPTS)
    assert [facts["reason"] for facts in told(world, "sum") if not facts["accepted"]] == [GIVEN_UP]
    assert len(told(world, "bad-dealing")) == MOST_ATTEMPTS
    with contextlib.closing(Journal(world.aggregator.folder / "journal.sqlite")) as journal:
        assert [row["no_sum"] for row in summary(journal)["rounds"]][:3] == [None, GIVEN_UP, None]
        print_summary(journal, Console(width=500))
    assert f"round 2 closed without a sum: {GIVEN_UP}" in capsys.readouterr().out


def test_moments_are_summed_however_many_attempts_it_takes(tmp_path: Path) -> None:
    """People read that it goes on; when the site is mended, the run does."""
    world = run(tmp_path, 3, "shares for all", most=MOST_ATTEMPTS + 1)
    assert [row["sites"] for row in world.results] == [3.0] * len(world.results)
    goes_on = [facts for facts in told(world, "waiting") if "attempts at its sum" in facts["reason"]]
    assert len(goes_on) == 2
