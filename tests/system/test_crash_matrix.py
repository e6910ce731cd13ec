"""SIGKILL of a site, the aggregator or the broker at every state of the protocol: the model is not changed by a bit."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from crash_point import AGGREGATOR, BROKER_PID, SITE
from federation import Federation, need_mosquitto

from fedfin.demo.processes import free_port, wait_for_port
from fedfin.plan_sections import Codec

HERE = Path(__file__).parent
M = TypeVar("M", bound="Machines")
SECONDS = 180.0
VICTIMS = {  # who dies, and whether the broker keeps what it retains
    "process": False,
    "broker": False,
    "broker, persistent": True,
    "both": False,
}
CASES = [(point, victim) for point in (*SITE, *AGGREGATOR) for victim in VICTIMS]
FEW = [
    ("closing", "broker"),
    ("offered", "both"),
]
pytestmark = pytest.mark.broker


@dataclass
class Machines:
    """A broker and the federation's processes, each started again when it was killed."""

    federation: Federation
    folder: Path
    persistent: bool = False
    broken: dict[str, list[str]] = field(default_factory=dict)  # by name: words that put a crash point in
    killed: list[str] = field(default_factory=list)
    _running: dict[str, subprocess.Popen] = field(default_factory=dict)

    def run(self) -> None:
        """Until aggregator and sites have ended well."""
        try:
            for name in ("broker", "agg", *self.federation.names):
                self._start(name)
            until = time.monotonic() + SECONDS
            while set(self._running) != {"broker"}:
                assert time.monotonic() < until, f"still running: {sorted(self._running)}\n{self._words()}"
                self._look()
                time.sleep(0.05)
        finally:
            for process in self._running.values():
                process.kill()
                process.wait(10)

    def _look(self) -> None:
        for name, process in list(self._running.items()):
            if (code := process.poll()) is None:
                continue
            assert code in {0, -9}, f"{name} ended with {code}\n{self._words()}"
            del self._running[name]
            if code == -9:
                self.killed.append(name)
                self._start(name)

    def _start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(self._words_of(name), stdout=log, stderr=log, env=environment)
        self._running[name] = process
        if name == "broker":
            (self.folder / BROKER_PID).write_text(str(process.pid))
            wait_for_port("127.0.0.1", self._port, 20.0)

    def _words_of(self, name: str) -> list[str]:
        if name == "broker":
            return ["mosquitto", "-c", str(self._config())]
        words = [sys.executable, *self.broken.get(name, ["-m", "fedfin"])]
        if name == "agg":
            url = self.federation.broker_url
            return [
                *words,
                "aggregator",
                "serve",
                str(self.folder / "agg"),
                "--broker",
                url,
                *self.federation.options,
                "--json",
                *self.federation.no_keys,
            ]
        return [*words, "edge", "run", str(self.folder / name), "--json", *self.federation.no_keys]

    @property
    def _port(self) -> int:
        return int(self.federation.broker_url.rpartition(":")[2])

    def _config(self) -> Path:
        path = self.folder / "mosquitto.conf"
        keeps = f"persistence true\nautosave_interval 1\npersistence_location {self.folder}/"
        lines = [f"listener {self._port} 127.0.0.1", "allow_anonymous true"]
        path.write_text("\n".join([*lines, keeps if self.persistent else "persistence false", ""]))
        return path

    def _words(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in self.folder.glob("*.log"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A federation that is set up and has not begun; every case runs in a copy of it."""
    need_mosquitto()
    url, codec = f"mqtt://127.0.0.1:{free_port()}", Codec(up="small", down="small")
    return Federation(tmp_path_factory.mktemp("template"), url, sites=2, codec=codec)


@pytest.fixture(scope="module")
def undisturbed(template: Federation, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The final model when nothing happens."""
    with copied(template, tmp_path_factory.mktemp("calm")) as machines:
        machines.run()
        return (machines.folder / "agg" / "final.fedfin").read_bytes()


@contextlib.contextmanager
def copied(template: Federation, folder: Path, kind: type[M] = Machines) -> Iterator[M]:
    """A federation's folders, to be run once."""
    for name in ("agg", *template.names):
        shutil.copytree(template.folder / name, folder / name)
    for cases in template.folder.glob("*.jsonl"):
        shutil.copy(cases, folder)
    (folder / "bundles").symlink_to(template.folder / "bundles")
    yield kind(template, folder)


def _check(
    points: tuple[str, ...], victim: str, template: Federation, undisturbed: bytes, folder: Path
) -> None:
    owners = {"agg" if point in AGGREGATOR else "s1": point for point in points}
    with copied(template, folder) as machines:
        machines.persistent = VICTIMS[victim]
        for name, point in owners.items():
            mark = str(folder / f"{name}.mark")
            words = [str(HERE / "crash_point.py"), point, victim.partition(",")[0], mark]
            machines.broken[name] = words
        machines.run()
    wanted = {"process": {*owners}, "both": {*owners, "broker"}}.get(victim, {"broker"})
    assert set(machines.killed) == wanted, "the point was never reached"
    for owner in ("agg", "s0/state", "s1/state"):
        assert (folder / owner / "final.fedfin").read_bytes() == undisturbed, owner


@pytest.mark.parametrize(("point", "victim"), FEW)
def test_a_kill_changes_nothing(
    point: str, victim: str, template: Federation, undisturbed: bytes, tmp_path: Path
) -> None:
    """A few of the matrix."""
    _check((point,), victim, template, undisturbed, tmp_path)


def test_a_site_and_the_aggregator_are_killed_in_one_federation(
    template: Federation, undisturbed: bytes, tmp_path: Path
) -> None:
    """Each goes on where it stopped."""
    _check(("half sent", "closed, not published"), "process", template, undisturbed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("point", "victim"), [case for case in CASES if case not in FEW])
def test_a_kill_changes_nothing_at_any_point(
    point: str, victim: str, template: Federation, undisturbed: bytes, tmp_path: Path
) -> None:
    """All the others: `make crash-matrix`."""
    _check((point,), victim, template, undisturbed, tmp_path)
