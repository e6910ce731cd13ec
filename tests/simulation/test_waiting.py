"""Nothing waits in silence: `stalled` says whose updates were refused, `show` for whom the open round waits."""

import contextlib
from pathlib import Path

import pytest
from rich.console import Console

from fedfin.plan import Rounds
from fedfin.protocol import site_machine
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import print_summary, summary
from simulation.faults import Faults
from simulation.toy import toy_plan
from simulation.world import World


def test_an_open_round_says_since_when_and_for_whom(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One site never comes: the log stalls, and `show` names it."""
    monkeypatch.setattr("simulation.world.UNTIL_S", 2000.0)
    rounds = Rounds(count=1, sites=3, min_sites=3, deadline_s=100.0)
    world = World(1, toy_plan(rounds), 3, Faults(), tmp_path)
    honest = site_machine.Outgoing.offer
    world.sites[2].asleep_s = 10_000.0

    def offer(self, run: str, round_: int, payload: bytes, _: bytes = b""):
        return honest(self, run, round_, payload * 100 if world.current is world.sites[1] else payload)

    monkeypatch.setattr(site_machine.Outgoing, "offer", offer)
    with pytest.raises(AssertionError, match="deadlock"):
        world.run()
    (refused,) = {f["refused"] for _, _, event, f in world.facts if event == "stalled"}
    assert refused.startswith("s1: too large: ")
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as journal:
        waiting = summary(journal, frozenset({"s0", "s1", "s2"}))["waiting"]
        assert (waiting["round"], waiting["sites"]) == (1, ["s1", "s2"])
        print_summary(journal, Console(width=500), frozenset({"s0", "s1", "s2"}))
    assert "round 1 is open since " in capsys.readouterr().out
