"""Memory that can be had: of the machine, and of the container or service that this is."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fedfin.broker.check.finding import Finding, fail, passed, warn

_MEMINFO = Path("/proc/meminfo")
_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
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
    """The least that a control group allows, this process's or one above it; without any, no limit."""
    return min(filter(None, map(_limit, _limits())), default=float("inf"))


def _limits() -> Iterator[Path]:
    """Files of limits, of cgroup v2 and v1. A container sees those below its own group alone, in place of all."""
    for line in _OWN.read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            groups, name = _GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            groups, name = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        yield from (groups / group / name for group in (own, *own.parents))


def _limit(file: Path) -> int | None:
    """Bytes; None: it sets none ("max"), or is not there."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
