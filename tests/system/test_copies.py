"""Folders that come back from a copy, and a second aggregator: real processes over mosquitto."""

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from federation import Federation, need_mosquitto
from test_crash_matrix import HERE, Machines, copied

from fedfin.demo.processes import free_port
from fedfin_aggregator.store.journal import Journal

SECONDS = 60.0
SETS_BACK = {  # where its folder is copied, and where it is put back
    "agg": ("closing", "closed, not published"),
    "s1": ("computed, not saved", "settled"),
}
pytestmark = pytest.mark.broker


@dataclass
class SetBack(Machines):
    """The first time one is killed its folder is copied; the second time the copy takes its place."""

    parties: tuple[str, ...] = ()
    times: dict[str, int] = field(default_factory=dict)

    def aim(self, name: str, time_: int) -> None:
        """It is to be killed where SETS_BACK says."""
        mark = str(self.folder / f"{name}.mark-{time_}")
        self.broken[name] = [str(HERE / "crash_point.py"), SETS_BACK[name][time_], "process", mark]

    def _start(self, name: str) -> None:
        kills = self.killed.count(name)
        if name in self.parties and kills != self.times.get(name, 0):
            self.times[name] = kills
            folder, copy = self.folder / name, self.folder / f"{name}.copy"
            if kills == 1:
                shutil.copytree(folder, copy)
                self.aim(name, 1)
            else:
                shutil.rmtree(folder)
                shutil.copytree(copy, folder)
        super()._start(name)

    def log(self, name: str) -> str:
        """What it has said."""
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A federation that is set up and has not begun."""
    need_mosquitto()
    url = f"mqtt://127.0.0.1:{free_port()}"
    return Federation(tmp_path_factory.mktemp("template"), url, sites=2)


@pytest.mark.parametrize(
    "parties",
    [
        pytest.param(("agg",), id="aggregator"),
        pytest.param(("s1",), id="site", marks=pytest.mark.slow),
        pytest.param(("agg", "s1"), id="both", marks=pytest.mark.slow),
    ],
)
def test_restored_from_a_copy_the_federation_goes_on(
    parties: tuple[str, ...], template: Federation, tmp_path: Path
) -> None:
    """Each site counts once in every round, and all hold the same model in the end."""
    with copied(template, tmp_path, SetBack) as machines:
        machines.parties = parties
        for name in parties:
            machines.aim(name, 0)
        machines.run()
    assert sorted(machines.killed) == sorted(2 * parties), "a copy was never put back"
    finals = {(tmp_path / part / "final.fedfin").read_bytes() for part in ("agg", "s0/state", "s1/state")}
    assert len(finals) == 1
    journal = Journal(tmp_path / "agg" / "journal.sqlite")
    assert [row.results["sites"] for row in journal.rounds()] == [2.0] * len(journal.rounds())
    journal.close()
    assert ('"rewound"' in machines.log("agg")) == ("agg" in parties)


def wait_for(words: str, machines: SetBack, name: str) -> None:
    """Until it has said so."""
    until = time.monotonic() + SECONDS
    while words not in machines.log(name):
        assert time.monotonic() < until, f"no {words!r} of {name}\n{machines._words()}"
        time.sleep(0.05)


def until_all_are_done(machines: SetBack) -> None:
    """But the broker."""
    until = time.monotonic() + 2 * SECONDS
    while set(machines._running) != {"broker"}:
        assert time.monotonic() < until, machines._words()
        machines._look()
        time.sleep(0.05)


def test_a_second_aggregator_refuses_or_takes_over(template: Federation, tmp_path: Path) -> None:
    """From a copy of the folder; the first goes on meanwhile, or stops and says who took over."""
    with copied(template, tmp_path, SetBack) as machines:
        try:
            machines._start("broker")
            machines._start("agg")
            wait_for('"round"', machines, "agg")
            shutil.copytree(tmp_path / "agg", tmp_path / "copy")
            words = [
                str(tmp_path / "copy") if word == str(tmp_path / "agg") else word for word in _serve(machines)
            ]
            refused = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
            assert refused.returncode == 9, refused.stderr
            assert "another aggregator of this federation serves: boot " in refused.stderr
            first = machines._running["agg"]
            assert first.poll() is None
            with (tmp_path / "copy.log").open("w") as log:
                machines._running["copy"] = subprocess.Popen([*words, "--take-over"], stdout=log, stderr=log)
            assert first.wait(SECONDS) == 9, machines._words()
            assert "took over from this one: boot " in machines.log("agg")
            del machines._running["agg"]
            for name in template.names:
                machines._start(name)
            until_all_are_done(machines)
        finally:
            for process in machines._running.values():
                process.kill()
                process.wait(10)
    assert (tmp_path / "copy" / "final.fedfin").read_bytes() == (
        tmp_path / "s0/state/final.fedfin"
    ).read_bytes()


def test_a_twin_is_named_at_both_ends_and_counts_once(template: Federation, tmp_path: Path) -> None:
    """A copied machine runs beside the site until people stop it; what was accepted is no late work."""
    with copied(template, tmp_path, SetBack) as machines:
        try:
            for name in ("broker", "agg", "s1"):
                machines._start(name)
            wait_for('"received"', machines, "s1")
            shutil.copytree(tmp_path / "s1", tmp_path / "twin")
            machines._start("twin")
            for name in ("agg", "s1", "twin"):
                wait_for("runs twice: here since ", machines, name)
            machines._running["twin"].kill()
            machines._running.pop("twin").wait()
            machines._start("s0")
            until_all_are_done(machines)
        finally:
            for process in machines._running.values():
                process.kill()
                process.wait(10)
    journal = Journal(tmp_path / "agg" / "journal.sqlite")
    assert [row.results["sites"] for row in journal.rounds()] == [2.0] * len(journal.rounds())
    journal.close()
    assert '"accepted": false' not in machines.log("s1"), machines.log("s1")


def _serve(machines: SetBack) -> list[str]:
    return machines._words_of("agg")
