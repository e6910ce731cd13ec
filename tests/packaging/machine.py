"""A clean Debian 12 with systemd at work, in a container of systemd-nspawn without a network; needs root."""

import contextlib
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "deb"
ROOT = BUILD / "bookworm"
# What Debian's own standard installation has of what FedFIN needs; mosquitto is the broker's part of the stage.
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-venv",
    "ca-certificates",
    "mosquitto",
    "openssl",
)
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Written by the system itself while it runs.
NOT_OURS = (
    "dev", "proc", "run", "sys", "tmp", "root", "srv/usb", "var/cache", "var/log", "var/tmp", "etc/machine-id",
    "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
    "var/lib/apt", "var/lib/dbus", "var/lib/dpkg", "var/lib/mosquitto", "var/lib/private", "var/lib/systemd",
)  # fmt: skip


def make_root() -> None:
    """The system's files, once; anew where a package is missing."""
    if not all((ROOT / f"var/lib/dpkg/info/{name}.list").exists() for name in PACKAGES):
        BUILD.mkdir(parents=True, exist_ok=True)
        part = ROOT.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(
            ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", part],
            check=True,
        )
        shutil.rmtree(ROOT, ignore_errors=True)
        part.rename(ROOT)


class Machine:
    """One that is up; what is written there goes with it."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = str(leader)

    def path(self, absolute: str) -> Path:
        """A file of its, seen from here."""
        return self.root / absolute.lstrip("/")

    def sh(self, command: str, *, check: bool = True) -> str:
        """What a command line of root's prints, both ways. Raises RuntimeError with it."""
        inside = ["nsenter", "-t", self._leader, "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        plain = ["/usr/bin/env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8"]
        words = [*inside, *plain, "bash", "-c", f"cd /root; {command}"]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"`{command}` ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def wait(self, command: str, seconds: float = 120.0) -> None:
        """Until it succeeds. Raises RuntimeError."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(RuntimeError):
                self.sh(command)
                return
            if time.monotonic() > until:
                raise RuntimeError(
                    f"after {seconds:.0f} s still not: {command}\n{self.sh('journalctl -n 60', check=False)}"
                )
            time.sleep(0.3)

    def files(self) -> dict[str, str]:
        """All there is, by path: of a link where it leads, of a file rights and SHA-256, of others kind and rights."""
        found = {}
        skipped = tuple(f"{name}/" for name in NOT_OURS)
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            if not f"{name}/".startswith(skipped):
                found[name] = _state(path)
        return found


def _state(path: Path) -> str:
    """Of one entry; two that are equal have equal states."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    mode = oct(path.stat().st_mode)
    return f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else mode


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """A machine whose files lie over those of `ROOT`, in `folder`."""
    make_root()
    up, work, root = (folder / name for name in ("up", "work", "root"))
    for path in (up, work, root):
        path.mkdir(parents=True)
    options = f"lowerdir={ROOT},upperdir={up},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    command = ["systemd-nspawn", "-D", root, "--boot", "--register=no", "--keep-unit", "--private-network"]
    process = subprocess.Popen(
        [*command, "--link-journal=no", f"--machine=fedfin-{folder.name}"],
        stdin=subprocess.DEVNULL,
        stdout=(folder / "console").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        machine = Machine(root, _leader(process.pid))
        machine.wait("systemctl is-active --quiet multi-user.target", 300)
        yield machine
    finally:
        process.terminate()
        process.wait(60)
        subprocess.run(["umount", root], check=True)


def _leader(pid: int) -> int:
    """The container's process 1, as this machine numbers it. Raises RuntimeError."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                inside = re.search(r"NSpid:\s+\d+\s+1\n", Path(f"/proc/{child}/status").read_text())
                if inside:
                    return int(child)
        time.sleep(0.1)
    raise RuntimeError("systemd-nspawn starts nothing")
