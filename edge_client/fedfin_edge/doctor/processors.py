"""Cores that may be used, what else uses them, and how many threads are set to."""

import os
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, passed, warn
from fedfin.processors import usable_cores

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def processors(_: Path) -> Iterator[Finding]:
    """More threads than cores wait for each other: 2,308 ms for what takes 31, two on two contended cores."""
    cores, load = usable_cores(), os.getloadavg()[0]
    says = f"{cores} cores, {load:.1f} of them in use in the last minute"
    asked = {name: int(value) for name in VARIABLES if (value := os.environ.get(name, "")).isdecimal()}
    if too_many := [f"{name}={threads}" for name, threads in asked.items() if threads > cores]:
        yield warn(
            "processors", f"{says}, and {', '.join(too_many)}", f"set it to {cores} or less, or leave it out"
        )
    elif load > cores:
        yield warn("processors", says, "rounds will be slow while something else works: see `top`")
    else:
        yield passed("processors", says)
