"""How long a round takes and what it costs, when training takes no time, or some: real processes, broker and disk.

    python -m benchmarks.transport.round_time [CASE ...] [--rounds 10] [--json]

Each case starts a fresh mosquitto, `fedfin aggregator serve` and one process per site with the real site agent;
only what a site would compute is ready beforehand (stand_in_site.py), but for `training`, where it trains on drawn
cases (training_site.py). Nothing is compressed, but for `steps`. Seconds
per round are medians over the training rounds after the first; CPU seconds are of all processes together, broker
included; memory is the peak resident set. `floor` moves the same bytes with bare paho and mosquitto: no digest, no
disk, no fold.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.transport.bare import bare_round
from benchmarks.transport.broker import Broker, mosquitto
from benchmarks.transport.process_costs import cpu_seconds, peak_rss_mb
from benchmarks.transport.stand_ins import (
    AGGREGATOR,
    LARGE,
    SMALL,
    Folders,
    Line,
    issue_certificates,
    make_plan,
    stand_in_plan,
    update_mb,
)
from fedfin.codec.presets import UpPreset
from fedfin.demo.processes import Processes
from fedfin.plan_sections import Level
from fedfin.protocol.schedule import last_round
from fedfin_aggregator.store.journal import Journal


@dataclass(frozen=True)
class Case:
    """What is run. `width`: of the FIN decoder, which makes the size of an update; `keys`: signed and sealed.

    `level`: with "secure" the aggregator sees sums alone; it needs keys. `up`: how training's updates travel.
    `trains`: whether sites do.
    """

    sites: int
    tls: bool = False
    width: int = LARGE
    bare: bool = False
    keys: bool = False
    level: Level = "open"
    up: UpPreset = "exact"
    trains: bool = False


CASES = {
    "one": Case(1),
    "plain": Case(8),
    "tls": Case(8, tls=True),
    "keys": Case(8, keys=True),
    "small": Case(8, width=SMALL),
    "small-keys": Case(8, width=SMALL, keys=True),
    "small-tls": Case(8, tls=True, width=SMALL),
    "sixteen": Case(16),
    "thirty-two": Case(32),
    "ten-keys": Case(10, keys=True),
    "ten-secure": Case(10, keys=True, level="secure"),
    "ten-steps": Case(10, keys=True, level="secure", up="int4"),
    "ten-small-keys": Case(10, width=SMALL, keys=True),
    "ten-small-secure": Case(10, width=SMALL, keys=True, level="secure"),
    "ten-small-steps": Case(10, width=SMALL, keys=True, level="secure", up="int4"),
    "ten-training-keys": Case(10, width=SMALL, keys=True, trains=True),
    "ten-training-secure": Case(10, width=SMALL, keys=True, level="secure", trains=True),
    "ten-training-steps": Case(10, width=SMALL, keys=True, level="secure", up="int4", trains=True),
    "floor-one": Case(1, bare=True),
    "floor": Case(8, bare=True),
    "floor-tls": Case(8, tls=True, bare=True),
    "floor-small": Case(8, width=SMALL, bare=True),
}
DEFAULT = ("floor", "one", "plain", "tls", "small-tls")


@dataclass(frozen=True)
class Figures:
    """Per round; memory in MB of 10^6 bytes. `update_mb`: float32 values of one update, uncompressed.

    `up_mb`, `down_mb`: of a site, mean over all rounds of the run, which are two more.
    """

    sites: int
    tls: bool
    update_mb: float
    rounds: int
    seconds: float
    slowest_s: float
    cpu_s: float
    cpu_by: dict[str, float]
    aggregator_mb: float
    broker_mb: float
    up_mb: float
    down_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m benchmarks.transport.round_time plain tls --rounds 20",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    chosen = f"of: {', '.join(CASES)} (default: {' '.join(DEFAULT)})"
    # [] is what some Pythons check when no case is given.
    parser.add_argument("case", nargs="*", choices=[*CASES, []], metavar="CASE", help=chosen)
    parser.add_argument("--rounds", type=int, default=10, help="training rounds that count (default: 10)")
    parser.add_argument(
        "--folder", type=Path, help="where to work: the disk counts (default: a temporary folder)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args()
    results = {name: measure(CASES[name], args.rounds, args.folder) for name in args.case or DEFAULT}
    if args.json:
        print(json.dumps({name: asdict(figures) for name, figures in results.items()}, indent=2))
    else:
        _print(results)


def measure(case: Case, rounds: int, folder: Path | None) -> Figures:
    """One case in a fresh folder under `folder`."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="fedfin-round-") as name:
        work = Path(name)
        settings, options = issue_certificates(work / "pki", "127.0.0.1") if case.tls else ("", {})
        with mosquitto(work, f"{settings}\nmax_queued_messages 0") as broker:
            if case.bare:
                return _bare(case, rounds, broker, options)
            return _Federation(case, rounds, work, broker, options).run()


class _Federation:
    """Processes and figures of one case."""

    def __init__(self, case: Case, rounds: int, folder: Path, broker: Broker, tls: Mapping[str, str]) -> None:
        self._case, self._folder, self._broker = case, folder, broker
        # Round 1 pools moments, round 2 trains first; what counts begins with round 3.
        self._first, self._last = 3, 3 + rounds
        url = broker.url.replace("mqtt:", "mqtts:") if case.tls else broker.url
        plan = stand_in_plan(
            folder, sites=case.sites, rounds=self._last - 1, width=case.width, level=case.level, up=case.up
        )
        site_module = f"benchmarks.transport.{'training' if case.trains else 'stand_in'}_site"
        self._folders = Folders(
            folder, lambda _: Line(url, tls), plan, keys=case.keys, site_module=site_module
        )
        self._pids = {"broker": broker.pid}
        self._lock = threading.Lock()  # each process is read by its own thread
        self._cpu: dict[int, dict[str, float]] = {}
        self._memory: dict[str, float] = {}
        self._bytes = {"bytes_up": 0, "bytes_down": 0}  # of all sites together

    def run(self) -> Figures:
        """To the end; the figures are taken while the processes live."""
        commands = self._folders.commands
        with Processes(self._folder / "logs") as processes:
            for name in (*self._folders.sites, AGGREGATOR):
                on_event = self._on_event if name == AGGREGATOR else self._on_site_event
                self._pids[name] = processes.start(name, commands[name], on_event)
            processes.wait(list(commands))
        return self._figures()

    def _on_event(self, event: str, facts: dict[str, Any]) -> None:
        if event == "round" and facts["round"] in {self._first, self._last}:
            self._cpu[facts["round"]] = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        if event == "round" and facts["round"] == self._last:
            self._memory = {name: peak_rss_mb(self._pids[name]) for name in (AGGREGATOR, "broker")}

    def _on_site_event(self, event: str, facts: dict[str, Any]) -> None:
        if event == "costs":
            with self._lock:
                for way in self._bytes:
                    self._bytes[way] += facts[way]

    def _figures(self) -> Figures:
        with contextlib.closing(Journal(self._folders.journal)) as journal:
            opened = [row.opened for row in journal.rounds() if self._first <= row.round <= self._last]
        seconds = [after - before for before, after in itertools.pairwise(opened)]
        spent = {name: self._cpu[self._last][name] - self._cpu[self._first][name] for name in self._pids}
        by = {AGGREGATOR: spent.pop(AGGREGATOR), "broker": spent.pop("broker"), "sites": sum(spent.values())}
        per_round = 1e6 * self._case.sites * last_round(self._folders.plan)
        return Figures(
            sites=self._case.sites,
            tls=self._case.tls,
            update_mb=update_mb(self._folders.plan),
            rounds=len(seconds),
            seconds=statistics.median(seconds),
            slowest_s=max(seconds),
            cpu_s=sum(by.values()) / len(seconds),
            cpu_by={name: value / len(seconds) for name, value in by.items()},
            aggregator_mb=self._memory[AGGREGATOR],
            broker_mb=self._memory["broker"],
            up_mb=self._bytes["bytes_up"] / per_round,
            down_mb=self._bytes["bytes_down"] / per_round,
        )


def _bare(case: Case, rounds: int, broker: Broker, tls: Mapping[str, str]) -> Figures:
    size = update_mb(make_plan(sites=case.sites, rounds=rounds, width=case.width))
    taken = bare_round(broker, sites=case.sites, size=int(size * 1e6), rounds=rounds, tls=tls)
    return Figures(
        sites=case.sites,
        tls=case.tls,
        update_mb=size,
        rounds=rounds,
        up_mb=size,
        down_mb=size,
        **taken,
    )


def _print(results: Mapping[str, Figures]) -> None:
    table = Table("case", "sites", "TLS", "update MB", "s/round", "slowest", "CPU-s/round", "of that", "aggregator MB",
                  "broker MB", "MB up", "MB down")  # fmt: skip
    for name, each in results.items():
        by = ", ".join(f"{who} {seconds:.2f}" for who, seconds in each.cpu_by.items())
        figures = (each.update_mb, each.seconds, each.slowest_s, each.cpu_s)
        memory, moved = (each.aggregator_mb, each.broker_mb), (each.up_mb, each.down_mb)
        table.add_row(name, str(each.sites), "yes" if each.tls else "no", *(f"{value:.2f}" for value in figures), by,
                      *(f"{value:.0f}" for value in memory), *(f"{value:.3f}" for value in moved))  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    main()
