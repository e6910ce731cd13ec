"""Memory that can be had: of the machine, and of the container or service that this is."""

import re
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, passed, warn

_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
# The largest plan takes 1.5 GB (limits.py); with less than the first torch and a small plan hardly fit.
LEAST_BYTES, FEW_BYTES = 600_000_000, 2_000_000_000


def memory(_: Path) -> Iterator[Finding]:
    """What is available, or what the control group allows, if that is less."""
    available = min(_available(), _allowed())
    says = f"{available / 1e9:,.1f} GB can be had"
    if available < LEAST_BYTES:
        yield fail(
            "memory",
            says,
            f"end other programs, or add memory: {LEAST_BYTES / 1e9:g} GB are the least",
        )
    elif available < FEW_BYTES:
        yield warn("memory", says, "enough for most plans; `edge encode --processes 1` needs least")
    else:
        yield passed("memory", says)


def _available() -> float:
    found = re.search(r"MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else float("inf")


def _allowed() -> float:
    """By the control group (cgroup v2); "max" is no limit."""
    try:
        return int(_CGROUP.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return float("inf")
