"""Some of the schedules that `make simulate` runs by the thousand."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from simulation import __main__ as command
from simulation import schedules

SCHEDULES = 24
BATCH = 12
MISFORTUNES = ("site killed", "aggregator killed", "broker killed", "link cut")


@pytest.mark.parametrize("first", range(0, SCHEDULES, BATCH))
def test_no_loss_repetition_reordering_cut_or_crash_breaks_a_promise(first: int) -> None:
    """Every invariant of watch.py and schedules.py; `make simulate SIMULATE='--seed N'` replays a failing seed."""
    tally: Counter[str] = Counter()
    for seed in range(first, first + BATCH):
        _, wrong, happened = command.attempt(seed)
        assert not wrong, f"seed {seed}: {wrong}"
        tally += happened
    assert all(tally[misfortune] for misfortune in MISFORTUNES), "a fault that never happens tests nothing"


def test_a_seed_replays_step_by_step() -> None:
    """In another process, too, where hashes differ: the same steps at the same moments."""
    command_ = [sys.executable, "-m", "simulation", "--seed", "3"]
    root = Path(__file__).parents[2]
    told = []
    for number in "12":
        path = ":".join(str(root / room) for room in (".", "aggregator", "edge_client", "tests"))
        environment = {"PYTHONPATH": path, "PYTHONHASHSEED": number}
        told.append(
            subprocess.run(command_, env=environment, capture_output=True, text=True, check=True).stdout
        )
    steps = [
        [line for line in text.splitlines() if "finished" not in line] for text in told
    ]  # folders differ
    assert len(steps[0]) > 50
    assert steps[0] == steps[1]


def test_a_failing_seed_is_printed_with_its_replay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the command's exit code says so."""

    def fail(seed: int, **_) -> None:
        raise AssertionError(f"broken by {seed}")

    monkeypatch.setattr(schedules, "run", fail)
    monkeypatch.setattr(sys, "argv", ["simulation", "--schedules", "1", "--first", "41", "--jobs", "1"])
    assert command.main() == 1
    told = capsys.readouterr().out
    assert "broken by 41" in told
    assert "make simulate SIMULATE='--seed 41'" in told
