"""How much memory this process has taken."""

import re
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_rss_mb() -> float:
    """Peak resident set in MB (10^6 bytes) of this process alone; 0 where the system does not tell.

    Not getrusage: its maximum survives fork and exec, so a child of a large process starts with its parent's.
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0
