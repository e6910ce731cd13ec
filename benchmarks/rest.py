"""What a site's service takes while it waits: memory and CPU time of a connected `fedfin edge run`.

    python -m benchmarks.rest [--seconds 30] [--cases 1000]

One site with as many invented cases, of 1280 image and 384 text features, over a mosquitto of its own: connected before
an aggregator is there; after a round of training, when the aggregator has gone; and when the process that trained has
ended.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.pass_through import write_bundle
from benchmarks.transport.broker import mosquitto
from benchmarks.transport.process_costs import children, cpu_seconds, rss_mb
from fedfin.model.plan_file import plan_toml
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Rounds
from fedfin_edge.tasks.task_process import IDLE_S

DIMS = {"image": 1280, "text": 384}
READY_S = 600.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of waiting, for each row")
    parser.add_argument("--cases", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, mosquitto(Path(name)) as broker:
        site = Site(Path(name), broker.url, args.cases)
        print("| a site of | memory, MB | processes | CPU, ms a second |\n|---|---:|---:|---:|")
        try:
            site.wait("online")
            site.row("no round yet, connected", args.seconds)
            with site.serve():
                site.wait("received", 3)
            site.row("a round trained just now", 5.0)
            time.sleep(IDLE_S)
            site.row("no round for a minute", args.seconds)
        finally:
            site.end()


class Site:
    """Its folder beside the aggregator's, and its process."""

    def __init__(self, folder: Path, broker: str, cases: int) -> None:
        self._folder, self._broker = folder, broker
        manifests = {name: write_bundle(folder / name, name, dim) for name, dim in DIMS.items()}
        modalities = tuple(Modality(name=n, encoder=m.digest(), dim=m.dim) for n, m in manifests.items())
        rounds = Rounds(count=20, sites=1, min_sites=1)
        plan = Plan(federation="rest", labels=("effusion",), modalities=modalities, rounds=rounds)
        (folder / "plan.toml").write_text(plan_toml(plan))
        _write_cases(folder / "cases.jsonl", cases)
        _fedfin("aggregator", "init", folder / "plan.toml", folder / "aggregator")
        bundles = [word for name in DIMS for word in ("--bundle", folder / name)]
        words = (
            "--site",
            "site",
            "--federation",
            "rest",
            "--broker",
            broker,
            "--cases",
            folder / "cases.jsonl",
        )
        _fedfin("edge", "init", folder / "site", *words, *bundles)
        _fedfin("edge", "encode", folder / "site")
        self._log = folder / "site.log"
        self._process = self._start(self._log, "edge", "run", folder / "site")

    def serve(self) -> "subprocess.Popen[bytes]":
        """An aggregator; leaving its context ends it."""
        return _Ending(
            self._command("aggregator", "serve", self._folder / "aggregator", "--broker", self._broker)
        )

    def wait(self, event: str, count: int = 1) -> None:
        """Until the site has reported it so often. Raises TimeoutError."""
        _until(lambda: self._log.read_text().count(json.dumps(event)) >= count, event)

    def row(self, what: str, seconds: float) -> None:
        """Measure for so long, and print."""
        pids = [self._process.pid, *children(self._process.pid)]
        before = sum(map(cpu_seconds, pids))
        time.sleep(seconds)
        cpu = (sum(map(cpu_seconds, pids)) - before) / seconds
        print(f"| {what} | {sum(map(rss_mb, pids)):.0f} | {len(pids)} | {1000 * cpu:.1f} |", flush=True)

    def end(self) -> None:
        """The site's process."""
        self._process.terminate()
        self._process.wait()

    def _start(self, log: Path, *words: object) -> "subprocess.Popen[bytes]":
        with log.open("wb") as stream:
            return subprocess.Popen(self._command(*words), stdout=stream, stderr=subprocess.STDOUT)

    def _command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "fedfin", *map(str, words), "--json", "--no-keys"]


class _Ending(subprocess.Popen[bytes]):
    """A process that its context ends."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        self.terminate()
        self.wait()


def _fedfin(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "fedfin", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def _write_cases(path: Path, count: int) -> None:
    rng = np.random.default_rng(1)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(count):
            row = {name: rng.normal(size=dim).round(3).tolist() for name, dim in DIMS.items()}
            stream.write(json.dumps({"case": f"c{number}", "effusion": number % 2} | row) + "\n")


def _until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + READY_S
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"the site reported no {what} within {READY_S:.0f} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
