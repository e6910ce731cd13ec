"""A root and two shards as real processes over mosquitto, with a fleet of protocol-true sites."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from federation import broker, fedfin, start

from benchmarks.transport.fleet_plan import FEDERATION, expected_model, make_plan
from fedfin.model.model_file import read_model
from fedfin.model.plan_file import plan_toml
from fedfin_aggregator.store.journal import Journal

SITES, ROUNDS = 24, 5
SECONDS = 90.0
PLAN = make_plan(sites=SITES, update_kb=8.0, rounds=ROUNDS)
SHARDED = {"root": ["--shards", "2"], "shard-0": ["--shard", "0/2"], "shard-1": ["--shard", "1/2"]}


class Running:
    """Aggregator processes by their roles, and one process of sites; each life of one has a log of its own."""

    def __init__(
        self,
        folder: Path,
        url: str,
        roles: dict[str, list[str]],
        urls: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`urls`: of those who do not connect at `url`, by role; "sites", too."""
        self._folder, self._roles = folder, roles
        self._urls = dict.fromkeys([*roles, "sites"], url) | urls
        self._processes: dict[str, subprocess.Popen] = {}
        self._logs: dict[str, list[Path]] = {name: [] for name in roles}
        (folder / "plan.toml").write_text(plan_toml(PLAN))
        for name in roles:
            fedfin("aggregator", "init", folder / "plan.toml", folder / name)
            self.start(name)
        sites = ["--federation", FEDERATION, "--first", "0", "--count", str(SITES)]
        self._processes["sites"] = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.transport.fleet_process",
                "--broker",
                self._urls["sites"],
                *sites,
            ],
            stdout=subprocess.DEVNULL,
        )

    def start(self, name: str) -> None:
        """Begin another life."""
        logs = self._logs[name]
        logs.append(self._folder / f"{name}-{len(logs)}.log")
        words = [
            "aggregator",
            "serve",
            self._folder / name,
            "--broker",
            self._urls[name],
            "--json",
            "--no-keys",
        ]
        self._processes[name] = start(*words, *self._roles[name], log=logs[-1])

    def kill(self, name: str) -> None:
        """SIGKILL."""
        assert self._processes[name].poll() is None, f"{name} ended before it could be killed"
        self._processes[name].kill()
        self._processes[name].wait(10)

    def kill_and_start(self, name: str) -> None:
        """SIGKILL, and another life."""
        self.kill(name)
        self.start(name)

    def wait_for(self, name: str, event: str, *, seconds: float = SECONDS, **facts: object) -> None:
        """Until a process has reported this."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self._logs[name][-1].read_text().rpartition("\n")[0].splitlines():
                told = json.loads(line) if line.startswith("{") else {}
                if told.get("event") == event and facts.items() <= told.items():
                    return
            time.sleep(0.005)
        raise TimeoutError(self.last_words())

    def finish(self, seconds: float = SECONDS) -> None:
        """Until all have ended well."""
        codes = {name: process.wait(seconds) for name, process in self._processes.items()}
        assert set(codes.values()) == {0}, f"{codes}\n{self.last_words()}"

    def stop(self) -> None:
        """Leave no process behind."""
        for process in self._processes.values():
            process.kill()
            process.wait(10)

    def last_words(self) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"{log.name}: {log.read_text()[-600:]}" for logs in self._logs.values() for log in logs
        )


def _run(folder: Path, roles: dict[str, list[str]], disturb=lambda _: None) -> bytes:
    """The final model file of a whole federation."""
    folder.mkdir()
    with broker("mosquitto", folder) as url:
        running = Running(folder, url, roles)
        try:
            disturb(running)
            running.finish()
        finally:
            running.stop()
    return (folder / next(iter(roles)) / "final.fedfin").read_bytes()


def _check(folder: Path, final: bytes) -> None:
    """Every site counted once in every round; the model is what folding the same updates in memory gives."""
    journal = Journal(folder / "root" / "journal.sqlite")
    assert [row.results["sites"] for row in journal.rounds()] == [float(SITES)] * (ROUNDS + 2)
    journal.close()
    assert (folder / "root" / "final.fedfin").read_bytes() == final
    tensors, expected = read_model(folder / "root" / "final.fedfin").tensors, expected_model(PLAN, SITES)
    assert {n: t.tobytes() for n, t in tensors.items()} == {n: t.tobytes() for n, t in expected.items()}


@pytest.mark.broker
def test_shards_and_a_root_make_the_model_of_one_aggregator(tmp_path: Path) -> None:
    """To the byte; and the same results in every round."""
    single = _run(tmp_path / "single", {"root": []})
    sharded = _run(tmp_path / "sharded", SHARDED)
    assert sharded == single
    _check(tmp_path / "sharded", single)
    results = []
    for name in ("single", "sharded"):
        journal = Journal(tmp_path / name / "root" / "journal.sqlite")
        results.append([row.results for row in journal.rounds()])
        journal.close()
    assert results[0] == results[1]


@pytest.mark.broker
@pytest.mark.slow
def test_killed_shards_and_root_go_on_where_they_stopped(tmp_path: Path) -> None:
    """SIGKILL of each in the middle of a round, of both shards at once, and while only one sum has arrived."""

    def disturb(running: Running) -> None:
        running.wait_for("shard-0", "update", round=2, accepted=True)
        running.kill_and_start("shard-0")
        running.wait_for("shard-1", "update", round=3, accepted=True)
        running.kill_and_start("root")
        running.wait_for("root", "update", round=4)  # one shard's sum
        running.kill_and_start("root")
        running.wait_for("root", "round", round=5)
        running.kill_and_start("shard-1")
        running.kill_and_start("shard-0")

    final = _run(tmp_path / "shaken", SHARDED, disturb)
    _check(tmp_path / "shaken", final)


@pytest.mark.broker
@pytest.mark.slow
def test_a_shard_that_is_restored_from_a_copy_goes_on_in_the_open_round(tmp_path: Path) -> None:
    """Its sites have receipts that the copy knows nothing of: they answer the round again, and each counts once."""
    folder, copy = tmp_path / "shaken" / "shard-0", tmp_path / "copy"

    def set_back(running: Running) -> None:
        running.wait_for("shard-0", "round", round=3)
        running.kill("shard-0")
        shutil.copytree(folder, copy)
        running.kill("shard-1")  # without its sum the round stays open
        running.start("shard-0")
        running.wait_for("shard-0", "update", round=3, accepted=True)
        time.sleep(2.0)  # its receipt has come, too
        running.kill("shard-0")
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
        running.start("shard-0")
        running.start("shard-1")
        running.wait_for("root", "rewound", site="shard/0")

    final = _run(tmp_path / "shaken", SHARDED, set_back)
    _check(tmp_path / "shaken", final)


@pytest.mark.broker
@pytest.mark.slow
def test_a_root_that_is_restored_from_a_copy_goes_on_from_its_older_round(tmp_path: Path) -> None:
    """Shards and sites are some rounds ahead: shards drop these, sites answer them again, and each counts once."""
    folder, copy = tmp_path / "shaken" / "root", tmp_path / "copy"

    def set_back(running: Running) -> None:
        running.wait_for("root", "round", round=2)
        running.kill("root")
        shutil.copytree(folder, copy)
        running.start("root")
        running.wait_for("root", "round", round=5)
        running.kill("root")
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
        running.start("root")
        for name in SHARDED:
            running.wait_for(name, "rewound", round=2, life=1)

    final = _run(tmp_path / "shaken", SHARDED, set_back)
    _check(tmp_path / "shaken", final)


@pytest.mark.broker
def test_a_shard_of_another_split_is_told_so_and_leaves(tmp_path: Path) -> None:
    """Its sites would be counted by two shards, or by none."""
    (tmp_path / "plan.toml").write_text(plan_toml(PLAN))
    for name in ("root", "shard"):
        fedfin("aggregator", "init", tmp_path / "plan.toml", tmp_path / name)
    with broker("mosquitto", tmp_path) as url:
        words = [
            "aggregator",
            "serve",
            tmp_path / "root",
            "--broker",
            url,
            "--json",
            "--no-keys",
            "--shards",
            "2",
        ]
        root = start(*words, log=tmp_path / "root.log")
        try:
            done = fedfin(
                "aggregator",
                "serve",
                tmp_path / "shard",
                "--broker",
                url,
                "--no-keys",
                "--shard",
                "0/3",
                check=False,
            )
        finally:
            root.kill()
            root.wait(10)
    assert done.returncode == 10
    assert "the root has 2 shards, this one was started as 0/3" in done.stderr


@pytest.mark.broker
def test_of_two_that_are_one_shard_the_later_one_ends(tmp_path: Path) -> None:
    """Its folder was copied. The root reports both, and so does the one that goes on."""
    (tmp_path / "plan.toml").write_text(plan_toml(PLAN))
    for name in ("root", "shard"):
        fedfin("aggregator", "init", tmp_path / "plan.toml", tmp_path / name)
    shutil.copytree(tmp_path / "shard", tmp_path / "copy")
    with broker("mosquitto", tmp_path) as url, contextlib.ExitStack() as started:

        def serve(name: str, *role: str) -> subprocess.Popen:
            words = ("aggregator", "serve", tmp_path / name, "--broker", url, "--json", "--no-keys", *role)
            process = start(*words, log=tmp_path / f"{name}.log")
            started.callback(process.wait, 10)
            started.callback(process.kill)
            return process

        serve("root", "--shards", "1")
        first = serve("shard", "--shard", "0/1")
        _wait_for_line(tmp_path / "root.log", '"shard/0"')
        copy = serve("copy", "--shard", "0/1")
        assert copy.wait(SECONDS) == 9
        assert first.poll() is None
    assert "shard/0 runs twice: here since" in (tmp_path / "copy.log").read_text()
    for name in ("root", "shard"):
        assert '"event": "twins"' in (tmp_path / f"{name}.log").read_text()


def _wait_for_line(log: Path, word: str) -> None:
    until = time.monotonic() + SECONDS
    while word not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def test_a_shard_cannot_take_over(tmp_path: Path) -> None:
    """It would be left out without a word."""
    done = fedfin(
        "aggregator",
        "serve",
        tmp_path,
        "--broker",
        "mqtt://127.0.0.1:1",
        "--shard",
        "0/1",
        "--take-over",
        check=False,
    )
    assert done.returncode == 3
    assert "--take-over goes with" in done.stderr


@pytest.mark.parametrize(
    "others", [["--shards", "2"], ["--shard", "0/2"], ["--shard", "1/2"], []], ids=" ".join
)
def test_a_folder_keeps_its_role(others: list[str], tmp_path: Path) -> None:
    """Else a shard's records would be taken for a root's, or thrown away as another run's."""
    (tmp_path / "plan.toml").write_text(plan_toml(PLAN))
    fedfin("aggregator", "init", tmp_path / "plan.toml", tmp_path / "agg")
    journal = Journal(tmp_path / "agg" / "journal.sqlite")
    journal.claim("shard 7/9")
    journal.claim("shard 7/9")
    journal.close()
    done = fedfin(
        "aggregator",
        "serve",
        tmp_path / "agg",
        "--broker",
        "mqtt://127.0.0.1:1",
        "--no-keys",
        *others,
        check=False,
    )
    assert done.returncode == 9
    assert "belongs to shard 7/9, and cannot serve as" in done.stderr
