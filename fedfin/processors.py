"""The cores of this machine that this process may use."""

import os


def usable_cores() -> int:
    """A container or `taskset` may leave it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
