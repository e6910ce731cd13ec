"""The same subjects for pytest-benchmark, which calibrates, keeps a history and compares with it:

    pytest benchmarks/costs --benchmark-only --benchmark-autosave
    pytest benchmarks/costs --benchmark-only --benchmark-compare

The report's own samples are taken by `compute/process.py`, since pytest-benchmark times one thing after the other in
one process: no ratio by turns, and no memory of one thing alone.
"""  # noqa: D400 the commands belong to the sentence

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.costs.compute.materials import Materials, make
from benchmarks.costs.compute.subjects import SUBJECTS

FOLDER = "FEDFIN_BENCH_MATERIALS"
SLOW = {"r2gen-60", "r2gen-100", "r2gen-whole", "train-encoders"}


@pytest.fixture(scope="module")
def materials() -> Materials:
    """In the folder that the environment variable names, or beside the results of `fedfin bench all`."""
    folder = Path(os.environ.get(FOLDER, "fedfin-bench/materials"))
    for _ in make(folder, 100):
        pass
    return Materials(folder)


@pytest.mark.parametrize("name", SUBJECTS)
def test_subject(benchmark: Any, materials: Materials, name: str) -> None:
    """One thread; its multiply-adds stand beside its times."""
    subject = SUBJECTS[name].make(materials, 1)
    benchmark.extra_info |= {"multiply_adds": subject.multiply_adds, "parameters": subject.parameters}
    benchmark.pedantic(subject.run, rounds=3 if name in SLOW else 20, warmup_rounds=1)
