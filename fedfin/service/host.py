"""The machine that a service is installed on: its folders, and the commands that change it."""

import grp
import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fedfin.errors import StateError
from fedfin.service.unit import SETTINGS, STATE, USER, Service

_PACKAGED = ("usr/lib/systemd/system", "lib/systemd/system")
_HIDDEN = ("home", "root", "run/user")  # from what has ProtectHome


@dataclass(frozen=True)
class Host:
    """`root`: what its folders are below; another one than / only in tests."""

    root: Path = Path("/")

    def path(self, absolute: str) -> Path:
        """A file or folder of this machine."""
        return self.root / absolute.lstrip("/")

    def state(self, service: Service, name: str) -> Path:
        """A service's folder."""
        return self.path(STATE) / service.group / name

    def options(self, service: Service, name: str) -> Path:
        """A service's options, for root alone."""
        return self.path(SETTINGS) / f"{service.name}-{name}.env"

    def unit(self, service: Service) -> Path:
        """Where the template goes that no package brings."""
        return self.path("/etc/systemd/system") / service.unit

    def is_packaged(self, service: Service) -> bool:
        """Whether a package has brought the template."""
        return any((self.root / folder / service.unit).exists() for folder in _PACKAGED)

    def hides(self, path: Path) -> bool:
        """Whether the service cannot see this, whoever may read it."""
        return any(path.is_relative_to(self.root / folder) for folder in _HIDDEN)

    def check(self) -> None:
        """Raises StateError for who is not root, and where systemd does not run."""
        if os.geteuid() != 0:
            raise StateError("services belong to root: run this with sudo")
        self.check_systemd()

    def check_systemd(self) -> None:
        """Raises StateError where systemd does not run."""
        if not self.path("/run/systemd/system").is_dir():
            raise StateError(
                "systemd does not run this machine: start `fedfin edge run` or `fedfin aggregator serve` from what does"
                " (docs/install.md, without systemd)"
            )

    def make_user(self) -> None:
        """The services' own, without a password or a shell, unless it is there."""
        if not has_user():
            command = [
                "useradd",
                "--system",
                "--user-group",
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
            ]
            run(*command, "--home-dir", STATE, "--comment", "FedFIN", USER)

    def systemd_version(self) -> int:
        """As in 252."""
        found = re.match(r"systemd (\d+)", run("systemctl", "--version"))
        return int(found[1]) if found else 0


def has_user() -> bool:
    """Whether the services' user is there."""
    try:
        pwd.getpwnam(USER)
        grp.getgrnam(USER)
    except KeyError:
        return False
    return True


def may_read(path: Path) -> bool:
    """Whether the services' user may."""
    return (
        subprocess.run(["test", "-r", path], check=False, user=USER, group=USER, extra_groups=[]).returncode
        == 0
    )


def run(*words: str | Path) -> str:
    """What a command prints. Raises StateError with its last words."""
    done = subprocess.run([*words], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise StateError(f"`{' '.join(map(str, words))}` failed: {last}")
    return done.stdout
