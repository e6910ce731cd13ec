"""This machine's clock: certificates, charters and the policy's last day are read by it."""

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.utc import moment

SET_IT = "set this machine's clock, and keep it set (`timedatectl set-ntp true`, or chrony)"
AHEAD_S = 120.0  # of a file: no more than a network drive's clock may be off
_UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2): nobody disciplines the clock
_TIMEX_BYTES = 1024  # struct timex has 208


def clock(folder: Path) -> Iterator[Finding]:
    """Whether it is behind what is written in the folder, and whether anybody keeps it right."""
    now, newest = time.time(), max(map(_written, folder.iterdir()), default=0.0)
    if newest > now + AHEAD_S:
        yield fail("clock", f"it says {moment(now)}, and a file in {folder} is of {moment(newest)}", SET_IT)
    elif not _synchronized():
        yield warn(
            "clock", f"it says {moment(now)}, and the kernel knows of nobody who keeps it right", SET_IT
        )
    else:
        yield passed("clock", f"{moment(now)}, kept right")


def _written(path: Path) -> float:
    """Seconds since the epoch; 0 of a file that is gone again, as those are that `run` writes beside its own."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _synchronized() -> bool:
    """By the kernel's word; true where it does not say."""
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    return adjtimex is None or adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _UNSYNCHRONIZED
