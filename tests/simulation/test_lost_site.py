"""A site that is lost between two sums of statistics is not what their difference shows."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedfin.plan_sections import Privacy, Rounds
from fedfin.protocol.subtraction import NO_COHORT
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import print_summary, summary
from simulation.faults import Faults
from simulation.toy import toy_plan
from simulation.world import World


def lose_one(folder: Path, sites: int) -> World:
    """The last of them dies for ever once all have given their moments."""
    rounds = Rounds(count=1, sites=sites, min_sites=3, deadline_s=100.0)
    world = World(1, toy_plan(rounds, privacy=Privacy(level="secure")), sites, Faults(), folder)

    def strike(_: str, event: str, facts: dict[str, Any]) -> None:
        if event == "closed" and facts["round"] == 1:
            world.clock.after(0.0, lambda: world.sites[-1].die(for_ever=True))

    world.on_report = strike
    world.run()
    return world


@pytest.mark.parametrize(("sites", "summed"), [(5, [5.0, 4.0, 0.0]), (6, [6.0, 5.0, 3.0])])
def test_training_goes_on_and_the_evaluation_leaves_out_three_or_is_not_made(
    sites: int, summed: list[float], tmp_path: Path
) -> None:
    """The watch looks at every sum that can be open; people hear whom the round waits for."""
    world = lose_one(tmp_path, sites)
    assert [row["sites"] for row in world.results] == summed
    waits = [f["reason"] for _, _, event, f in world.facts if event == "waiting"]
    assert any(f"bring s{sites - 1} back within 100 s" in reason for reason in waits)


def test_show_says_why_a_round_has_no_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a line, and in the JSON; of rounds that have one it says nothing."""
    lose_one(tmp_path, 5)
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert [row["no_sum"] for row in summary(journal)["rounds"]] == [None, None, NO_COHORT]
        print_summary(journal, Console(width=500))
    assert f"round 3 closed without a sum: {NO_COHORT}" in capsys.readouterr().out
