"""The peak memory of a piece of code, in a process of its own that can never take much."""

import resource
import subprocess
import sys

_LIMIT = 4 << 30  # of address space: a bomb that goes off ends its own process, not the machine
_TELL = "\nfrom fedfin.memory import peak_rss_mb\nprint(peak_rss_mb())\n"


def peak_mb(code: str, *arguments: object) -> tuple[float, str]:
    """Peak resident set in MB of `code` with these as sys.argv[1:], and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code + _TELL, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT)),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *printed, peak = done.stdout.splitlines()
    return float(peak), "\n".join(printed)
