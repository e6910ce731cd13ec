"""Where a broker is installed: this machine, or another Debian's files (`make other-debians`), for its newer versions.

Of the other Debian only /usr is taken, laid over ours for the broker alone; folders, loopback and processes stay this
machine's: such a broker is started, signalled and ended as any other. Needs root; both must have /bin in /usr.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedfin.errors import FedfinError

OTHERS = Path(__file__).parents[2] / "build" / "debian"
SUITES = ("trixie", "sid")
_PROGRAMS = ("usr/sbin", "usr/local/sbin", "usr/bin", "usr/local/bin")  # a user's own path may lack some


@dataclass(frozen=True)
class System:
    """One that may be there. `suite`: of the other Debian, or ""; `root`: its files."""

    suite: str = ""
    root: Path = Path("/")

    def __str__(self) -> str:
        return self.suite or "here"

    def find(self, program: str, package: str) -> str:
        """Where it is, as the system itself names it. Raises FedfinError when it is not installed."""
        folders = ":".join(str(self.root / folder) for folder in _PROGRAMS)
        if (found := shutil.which(program, path=folders)) is None:
            what, how = (
                (f" of Debian {self.suite}", "make other-debians")
                if self.suite
                else ("", f"apt-get install {package}")
            )
            raise FedfinError(f"{program}{what} is not installed ({how})")
        return f"/{Path(found).relative_to(self.root)}"

    def inside(self, command: Sequence[str]) -> list[str]:
        """What runs it there, as the same process. Raises FedfinError for another Debian's without root."""
        if not self.suite:
            return list(command)
        if os.geteuid():
            raise FedfinError(f"programs of Debian {self.suite} run as root")
        laid_over = 'mount --bind "$0" /usr && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", laid_over, str(self.root / "usr"), *command]


HERE = System()
SYSTEMS = (HERE, *(System(suite, OTHERS / suite) for suite in SUITES))
