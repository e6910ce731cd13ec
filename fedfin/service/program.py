"""The command that a unit names: the one that runs now, if the services' user can run it, too."""

import shutil
import subprocess
import sys
from pathlib import Path

import fedfin
from fedfin.errors import StateError
from fedfin.service.host import Host
from fedfin.service.unit import USER

_REMEDY = (
    "install FedFIN by its Debian packages, or in a virtual environment outside home folders, as in /opt/fedfin, of a"
    " Python that is outside, too (docs/install.md)"
)


def find_program() -> Path:
    """The command that runs now; of `python -m fedfin` the command beside that Python."""
    return Path(shutil.which(sys.argv[0]) or Path(sys.executable).with_name("fedfin")).absolute()


def check_program(host: Host) -> None:
    """Raises StateError where the command, its Python or FedFIN itself is not to be had for the services' user."""
    program = find_program()
    for path in (program, program.resolve(), Path(sys.executable).resolve(), Path(fedfin.__file__).resolve()):
        if host.hides(path):
            raise StateError(f"{path} is in a home folder, which services do not see: {_REMEDY}")
    if reason := _failure(program):
        raise StateError(f"the user {USER} cannot run {program} ({reason}): {_REMEDY}")


def _failure(program: Path) -> str:
    """Why it does not run as the services' user, without this shell's environment; empty where it does."""
    try:
        done = subprocess.run(
            [program, "--version"], check=False, capture_output=True, text=True, cwd="/", env={},
            user=USER, group=USER, extra_groups=[],
        )  # fmt: skip
    except OSError as error:
        return str(error.strerror)
    return (
        done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}" if done.returncode else ""
    )
