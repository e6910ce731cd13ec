"""One subject, or several by turns, in a process of its own: multiply-adds, seconds, peak memory.

    python -m benchmarks.costs.compute.process MATERIALS NAME [NAME ...] [--threads 1] [--seconds 3]

Prints JSON. Memory is the peak resident set in MB of 10^6 bytes: before anything was made, and at the end.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.costs.compute.subjects import SUBJECTS
from fedfin.errors import FedfinError
from fedfin.memory import peak_rss_mb


@dataclass(frozen=True)
class Measured:
    """`samples`: seconds of a call; `before_mb`, `peak_mb`: of the process, which several subjects may share."""

    name: str
    title: str
    cases: int
    threads: int
    multiply_adds: int
    int8: int
    parameters: int
    samples: list[float]
    before_mb: float
    peak_mb: float


def measure_here(materials: Path, names: Sequence[str], threads: int, seconds: float) -> list[Measured]:
    """In this process."""
    from benchmarks.costs.compute.materials import Materials
    from benchmarks.costs.compute.timing import by_turns

    before = peak_rss_mb()
    made = [SUBJECTS[name].make(Materials(materials), threads) for name in names]
    samples = by_turns([subject.run for subject in made], seconds)
    peak = peak_rss_mb()
    return [
        Measured(
            name=name,
            title=SUBJECTS[name].title,
            cases=SUBJECTS[name].cases,
            threads=threads,
            multiply_adds=subject.multiply_adds,
            int8=subject.int8,
            parameters=subject.parameters,
            samples=taken,
            before_mb=before,
            peak_mb=peak,
        )
        for name, subject, taken in zip(names, made, samples, strict=True)
    ]


def measure(materials: Path, names: Sequence[str], *, threads: int, seconds: float) -> list[Measured]:
    """In a fresh process. Raises FedfinError when it fails, as for want of memory."""
    command = [sys.executable, "-m", "benchmarks.costs.compute.process", str(materials), *names]
    done = subprocess.run(
        [*command, "--threads", str(threads), "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing; was there enough memory?"])[-1]
        raise FedfinError(f"measuring {', '.join(names)} failed (exit code {done.returncode}): {last}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return [Measured(**one) for one in found]


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("materials", type=Path)
    parser.add_argument("names", nargs="+", choices=SUBJECTS, metavar="NAME", help=", ".join(SUBJECTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    found = measure_here(args.materials, args.names, args.threads, args.seconds)
    print(json.dumps([asdict(one) for one in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
