"""A study that an earlier version's packages began, upgraded in its middle: settings, state and services go on.

The earlier packages are made of this repository's history, by their own debian/build.py, once.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import BUILD, Machine
from ward import (
    AGGREGATOR,
    EDGE,
    OTHER,
    STATE,
    STATES,
    USB,
    Table,
    bring_plan,
    end,
    expect,
    first_round,
    install,
    join,
    leave,
    purge,
)

REVISION = "af00ae842affd5501f9308a769f914b0604e7b28"  # of the first packages that were tried to their end
PACKAGES = BUILD / "earlier"
ROUNDS = 40  # enough that the middle is not missed
SETTINGS = f"/etc/fedfin/*.env {STATES}/edge/*/site.toml {STATE}/secrets/password"


def make_packages() -> bool:
    """Those of the earlier version, once; False where the history here does not reach so far back."""
    checkout = Path(__file__).parents[2]
    if PACKAGES.exists():
        return True
    words = ["git", "cat-file", "-e", f"{REVISION}^{{commit}}"]
    if subprocess.run(words, cwd=checkout, check=False, stderr=subprocess.DEVNULL).returncode:
        return False
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", checkout, name], check=True)
        subprocess.run(["git", "-C", name, "checkout", "--quiet", REVISION], check=True)
        subprocess.run(
            [sys.executable, "debian/build.py", "--version", f"0.1.0~{REVISION[:7]}"], cwd=name, check=True
        )
        made = Path(name, "build/deb")
        shutil.rmtree(made / "amd64-3.11")
        made.rename(PACKAGES)
    return True


def try_upgrade(table: Table) -> None:
    """Begin with the earlier packages, stop a site in the middle, upgrade, end. Raises RuntimeError."""
    machine = table.machine
    bring_plan(machine, rounds=ROUNDS)
    shutil.copytree(PACKAGES, machine.path(f"{USB}/earlier"))
    table.do("install", install(f"{USB}/earlier"))
    first_round(table)
    join(machine)
    machine.wait(f"test $({closed('wc -l')}) -ge 2")
    machine.sh(f"systemctl stop fedfin-edge@{OTHER}")
    expect("final" not in machine.sh(f"ls {STATES}/aggregator/ward"), "the study ended before its middle")
    before = Snapshot(machine)
    upgraded = f"systemctl is-active --quiet {EDGE} {AGGREGATOR}"
    table.do("upgrade", install(USB), until=upgraded)
    before.compare(machine)
    machine.sh(f"systemctl start fedfin-edge@{OTHER}")
    end(machine)
    rounds = [json.loads(line)["round"] for line in machine.sh(closed("cat")).splitlines()]
    expect(rounds == sorted(set(rounds)), f"rounds closed twice, or in another order: {rounds}")
    print(f"rounds before the upgrade {before.rounds}, in all {len(rounds)}, none twice\n")
    leave(table)
    purge(table)


def closed(what: str) -> str:
    """A command for the aggregator's reports of closed rounds."""
    return f'journalctl -o cat -u {AGGREGATOR} | grep \'"event": "closed"\' | {what}'


class Snapshot:
    """What an upgrade must leave as it is."""

    def __init__(self, machine: Machine) -> None:
        self.rounds = int(machine.sh(closed("wc -l")))
        self._settings = machine.sh(f"sha256sum {SETTINGS}")
        self._enabled = self._services(machine)
        self._answers = machine.sh(f"cat {STATE}/answers.jsonl")

    def compare(self, machine: Machine) -> None:
        """Raises RuntimeError where settings, answers or services are others than before."""
        expect(machine.sh(f"sha256sum {SETTINGS}") == self._settings, "settings are others than before")
        answers = machine.sh(f"cat {STATE}/answers.jsonl")
        expect(answers.startswith(self._answers), "the site does not know its earlier answers any more")
        expect(self._services(machine) == self._enabled, f"enabled before: {self._enabled}")
        expect("disabled" not in self._enabled, f"not started with the machine: {self._enabled}")

    @staticmethod
    def _services(machine: Machine) -> str:
        return machine.sh(f"systemctl is-enabled {EDGE} {AGGREGATOR} fedfin-edge@{OTHER}")
