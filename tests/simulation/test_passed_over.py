"""A training round that an aggregator's backup lacks: it is passed over, and people read that it was, and why."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedfin.plan_sections import Privacy, Rounds
from fedfin.protocol.subtraction import PASSED_OVER
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import print_summary, summary
from simulation.faults import Faults
from simulation.toy import toy_plan
from simulation.world import World


def test_show_says_that_a_restored_aggregator_passed_a_round_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same sites were ready: it is not their absence that left round 2 without a sum."""
    rounds = Rounds(count=3, patience=3, sites=3, min_sites=3, deadline_s=100.0)
    world = World(1, toy_plan(rounds, privacy=Privacy(level="secure")), 3, Faults(), tmp_path)
    backups, copy = world.backups, tmp_path / "copies" / "aggregator"
    steps = {
        1: lambda: backups.copy(world.aggregator, copy),
        2: lambda: backups.restore(world.aggregator, copy),
    }

    def strike(_: str, event: str, facts: dict[str, Any]) -> None:
        if event == "closed" and (step := steps.pop(facts["round"], None)):
            world.clock.after(0.0, step)

    world.on_report = strike
    world.run()
    told = [facts["reason"] for _, _, event, facts in world.facts if event == "sum" and not facts["accepted"]]
    assert told == [PASSED_OVER]
    with contextlib.closing(Journal(world.aggregator.folder / "journal.sqlite")) as journal:
        assert [row["no_sum"] for row in summary(journal)["rounds"][:3]] == [None, PASSED_OVER, None]
        print_summary(journal, Console(width=500))
    shown = capsys.readouterr().out
    assert f"round 2 closed without a sum: {PASSED_OVER}" in shown
    assert "training took 2 of 3 rounds, and the last version went on; round 2 closed without a sum" in shown
