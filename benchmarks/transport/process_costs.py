"""What a process costs, watched from outside: memory and CPU time, from Linux's /proc."""

import contextlib
import os
import re
import threading
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Watch:
    """A context: samples process `pid` until it is left. `peak_mb`: MB of 10^6 bytes; `cpu_s`: user and system."""

    def __init__(self, pid: int, *, every_s: float = 0.1) -> None:
        self.peak_mb = 0.0
        self.cpu_s = 0.0
        self._pid = pid
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self.peak_mb, self.cpu_s = peak_rss_mb(self._pid), cpu_seconds(self._pid)
            except (OSError, TypeError):  # it has ended: a zombie's status has no VmHWM
                return
            if self._over.wait(self._every_s):
                return


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB; pages of files count in each process that has them."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def children(pid: int) -> list[int]:
    """The processes that any thread of this one started, and theirs."""
    found = [
        int(word)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for word in (task / "children").read_text().split()
    ]
    return found + [grandchild for child in found for grandchild in children(child)]


def peak_rss_mb(pid: int) -> float:
    """Peak resident set of a process in MB. Raises OSError when there is none, TypeError when it is a zombie."""
    found = re.search(
        r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    )
    if found is None:
        raise TypeError
    return int(found[1]) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """User and system time of a process. Raises OSError when there is none."""
    fields = _stat(Path(f"/proc/{pid}"))
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def group_cpu_seconds(leader: int) -> float:
    """The same of all processes in a group together: what a script started counts."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(_stat(process)[2]) == leader:
                total += cpu_seconds(int(process.name))
    return total


def _stat(process: Path) -> list[str]:
    """What follows the command's name, which may hold anything: state, parent, group ..."""
    text = (process / "stat").read_text(encoding="ascii", errors="replace")
    return text.rpartition(")")[2].split()
