"""What a quick run leaves out, and what it does not."""

from itertools import chain
from pathlib import Path

import pytest

from benchmarks.costs import steps
from benchmarks.costs.compute.process import Measured
from benchmarks.costs.steps import PAIRS, QUICK_PAIRS, STEPS, Run

RATIOS = next(step for step in STEPS if step.name == "ratios")


@pytest.fixture
def processes(monkeypatch):
    """The subjects of each process that would be started; a subject takes as many seconds as its name has letters."""
    started = []

    def measure(_materials, names, *, threads, seconds):
        del seconds
        started.append(list(names))
        return [Measured(name, name, 1, threads, 1, 0, 0, [float(len(name))] * 3, 0.0, 0.0) for name in names]

    monkeypatch.setattr(steps, "measure", measure)
    monkeypatch.setattr(steps, "make", lambda *_: [])
    return started


@pytest.mark.parametrize("quick", [False, True])
def test_each_ratio_is_of_its_own_two(processes, tmp_path: Path, quick: bool):
    """Whichever share a process."""
    found = RATIOS.run(Run(quick, tmp_path, tmp_path, lambda *_: None))
    for key, one in found.items():
        pair = PAIRS[key.partition("/")[0]]
        assert (one["ours"]["name"], one["theirs"]["name"]) == pair
        assert one["times"]["median"] == len(pair[1]) / len(pair[0])
    assert {key.partition("/")[0] for key in found} == set(chain(*QUICK_PAIRS) if quick else PAIRS)
    assert all(len(names) == 2 for names in processes) is not quick


def test_a_quick_run_starts_two_processes_for_ratios(processes, tmp_path: Path):
    """Starting torch takes longer than measuring."""
    RATIOS.run(Run(True, tmp_path, tmp_path, lambda *_: None))
    assert len(processes) == 2
