"""Processes that are killed in the middle of a federation and started again."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from federation import Federation, broker, start

ROUNDS = 12
SECONDS = 60.0


class Running:
    """The federation's processes; each life of one has a log of its own."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._processes: dict[str, subprocess.Popen] = {}
        self._logs: dict[str, list[Path]] = {}
        for name in ("agg", *federation.names):
            self.start(name)

    def start(self, name: str) -> None:
        """Begin another life."""
        folder = self._federation.folder
        logs = self._logs.setdefault(name, [])
        logs.append(folder / f"{name}-{len(logs)}.log")
        if name == "agg":
            words = ["aggregator", "serve", folder / "agg", "--broker", self._federation.broker_url, "--json"]
        else:
            words = ["edge", "run", folder / name, "--json"]
        self._processes[name] = start(*words, log=logs[-1])

    def kill(self, name: str) -> None:
        """SIGKILL: no time for last words. It was alive and at work until then."""
        process = self._processes[name]
        assert process.poll() is None, f"{name} ended before it could be killed"
        process.kill()
        process.wait(10)

    def wait_for_round(self, number: int) -> None:
        """Until the aggregator has said that this round is open."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if any(fact.get("round") == number for fact in self._facts("agg")):
                return
            time.sleep(0.02)
        raise TimeoutError(self.last_words())

    def finish(self) -> None:
        """Until all have ended well."""
        codes = {name: process.wait(SECONDS) for name, process in self._processes.items()}
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

    def _facts(self, name: str) -> list[dict]:
        whole = self._logs[name][-1].read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


@pytest.mark.broker
def test_killed_processes_go_on_where_they_stopped(tmp_path: Path) -> None:
    """A site, then the aggregator, die by SIGKILL; the final model is that of an undisturbed run everywhere."""
    finals = []
    for name, disturb in (("calm", False), ("shaken", True)):
        folder = tmp_path / name
        folder.mkdir()
        with broker("mosquitto", folder) as url:
            federation = Federation(folder, url, rounds=ROUNDS)
            running = Running(federation)
            try:
                if disturb:
                    _kill_site_then_aggregator(running)
                running.finish()
            finally:
                running.stop()
        finals.append((folder / "agg" / "final.fedfin").read_bytes())
        for site in federation.names:
            assert (folder / site / "state" / "final.fedfin").read_bytes() == finals[-1]
    assert finals[0] == finals[1]


def _kill_site_then_aggregator(running: Running) -> None:
    running.wait_for_round(3)
    running.kill("s1")
    running.start("s1")
    running.wait_for_round(6)
    running.kill("agg")
    running.start("agg")
