"""FedFIN by pip, in a virtual environment: services that start, end, start again, and leave no file."""

import shutil
import subprocess
import time

from machine import BUILD, Machine
from ward import EDGE, STATE, USB, Table, bring_plan, end, expect, first_round, heard, join, leave

WHEELS = BUILD / "wheels"
PROGRAM = "/usr/local/bin/fedfin"
FOLDER = "/opt/fedfin"


def try_pip(table: Table) -> None:
    """All of it. Raises RuntimeError at what is not so."""
    machine = table.machine
    bring_plan(machine, rounds=3)
    download()
    shutil.copytree(WHEELS, machine.path(f"{USB}/wheels"))
    pip = f"{FOLDER}/bin/pip install --quiet --no-index --find-links {USB}/wheels 'fedfin[edge]'"
    table.do("install", f"python3 -m venv {FOLDER} && {pip}")
    machine.sh(f"ln -s {FOLDER}/bin/fedfin {PROGRAM}")
    first_round(table)
    check_notify(machine)
    check_end(machine)
    check_restart(machine)
    check_mistake(machine)
    join(machine)
    end(machine)
    leave(table)
    table.do("remove", f"rm -r {FOLDER} {PROGRAM}")


def download() -> None:
    """FedFIN's wheel and torch's for CPUs, which `make deb` left, and those of all they need."""
    own, torch = (next(BUILD.glob(f"amd64-3.11/wheels/{name}-*.whl")) for name in ("fedfin", "torch"))
    pip = ["python3.11", "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--dest", WHEELS]
    subprocess.run([*pip, f"{own}[edge]", torch], check=True)


def check_notify(machine: Machine) -> None:
    """The service tells systemd what it is at; its template names the command that installed it."""
    expect(machine.sh(f"systemctl show -P StatusText {EDGE}") == "received round 1\n", "its status")
    expect(
        f"ExecStart={PROGRAM} " in machine.sh(f"systemctl cat {EDGE}"), "its template names another command"
    )


def check_end(machine: Machine) -> None:
    """SIGTERM ends it within ten seconds, as it should end, and nobody starts it again."""
    started = time.monotonic()
    machine.sh(f"systemctl stop {EDGE}")
    seconds = time.monotonic() - started
    expect(seconds < 10, f"it took {seconds:.1f} s to stop")
    expect(shown(machine, "Result ExecMainStatus") == "success 130", shown(machine, "Result ExecMainStatus"))
    machine.sh(f"systemctl start {EDGE}")
    print(f"\nstopped after {seconds:.1f} s")


def check_restart(machine: Machine) -> None:
    """Killed, it is at work again, not before its pause is over."""
    started = time.monotonic()
    machine.sh(f"systemctl kill --kill-whom=main --signal=KILL {EDGE}")
    machine.wait(f"test $(systemctl show -P NRestarts {EDGE}) = 1 && systemctl is-active --quiet {EDGE}")
    seconds = time.monotonic() - started
    expect(seconds >= 30, f"it started again after {seconds:.1f} s")
    print(f"killed, at work again after {seconds:.1f} s")


def check_mistake(machine: Machine) -> None:
    """What only a person can correct ends it for good."""
    machine.sh(f"sed -i '1i nonsense = 1' {STATE}/site.toml; systemctl restart {EDGE}", check=False)
    machine.wait(f"systemctl is-failed --quiet {EDGE}")
    found = shown(machine, "ExecMainStatus SubState NRestarts")
    expect(found == "3 failed 0", found)
    machine.sh(f"sed -i 1d {STATE}/site.toml; systemctl start {EDGE}")
    machine.wait(heard(EDGE, "online"))


def shown(machine: Machine, properties: str) -> str:
    """What systemd knows of the service, in a line."""
    return " ".join(machine.sh(f"systemctl show -P {name} {EDGE}").strip() for name in properties.split())
