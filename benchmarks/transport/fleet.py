"""Thousands of sites against one aggregator: updates folded, how fast, and in how much memory.

    python -m benchmarks.transport.fleet --sites 10 1000 --update-kb 100 [--json]

Each site is the protocol's own site machine on its own MQTT connection; only its data and training are invented. A
few processes hold them all. The broker is a fresh mosquitto unless --broker names one; the aggregator is `fedfin
aggregator serve`. With several numbers of sites, one run after the other, memory can be compared.
"""

import argparse
import itertools
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.transport.broker import Broker, mosquitto
from benchmarks.transport.fleet_plan import FEDERATION, expected_model, make_plan
from benchmarks.transport.process_costs import Watch
from benchmarks.transport.round_costs import RoundCosts
from benchmarks.transport.stand_ins import issue_certificates
from fedfin.demo.processes import Processes, run_command
from fedfin.errors import FedfinError
from fedfin.model.model_file import read_model
from fedfin.model.plan_file import plan_toml
from fedfin.plan import Plan
from fedfin_aggregator.store.journal import Journal, RoundRow

AGGREGATOR, BROKER, FLEET, METER = "aggregator", "broker", "fleet", "benchmark"


@dataclass(frozen=True)
class RoundFigures:
    """One round, from the aggregator's journal. `mb`: of all its updates; `seconds`: from opening to close.

    `cpu_s`: what it cost each of the machine's processes.
    """

    task: str
    folded: int
    mb: float
    seconds: float
    cpu_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def updates_per_s(self) -> float:
        """Folded updates per second of the round."""
        return self.folded / self.seconds

    def cpu_ms(self, name: str) -> float:
        """CPU milliseconds an update of one process, or of several of one name."""
        return 1000 * self.cpu_s.get(name, 0.0) / self.folded


@dataclass(frozen=True)
class Cost:
    """What a process took: peak resident MB (10^6 bytes), user and system CPU seconds."""

    peak_mb: float
    cpu_s: float


@dataclass(frozen=True)
class Result:
    """One run. `same_model`: whether the final model is, bit for bit, what folding the same updates here gives."""

    sites: int
    rounds: list[RoundFigures]
    same_model: bool
    costs: dict[str, Cost]


class Bar:
    """Shows the current round's updates as the aggregator tells of them; when rounds end, `costs` is told."""

    def __init__(self, sites: int, costs: RoundCosts, *, quiet: bool) -> None:
        self._costs = costs
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), disable=quiet)
        self._task = self.progress.add_task(f"{sites} sites: connecting", total=sites)
        self._sites = sites

    def on_aggregator(self, event: str, facts: Mapping[str, Any]) -> None:
        """A line of the aggregator's."""
        if event == "closed" or (event == "round" and facts["round"] == 1):
            self._costs.close(facts["round"] if event == "closed" else 0)
        if event == "round":
            words = f"{self._sites} sites, round {facts['round']}: {facts['task']}"
            self.progress.update(self._task, completed=0, description=words)
        elif event == "update" and facts["accepted"]:
            self.progress.advance(self._task)
        elif event in {"update", "bad-message", "offline", "refused"}:
            self.progress.print(f"{event}: {facts}")


def measure(sites: int, args: argparse.Namespace) -> Result:
    """Run one federation of `sites` to its end. Raises FedfinError when a process fails or the time is up."""
    plan = make_plan(sites=sites, update_kb=args.update_kb, rounds=args.rounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedfin-fleet-")))
        settings, files = issue_certificates(folder / "pki", "127.0.0.1") if args.tls else ("", {})
        broker = Broker(args.broker, 0) if args.broker else stack.enter_context(mosquitto(folder, settings))
        url = broker.url.replace("mqtt:", "mqtts:") if args.tls else broker.url
        connect = ["--broker", url, *(word for key, value in files.items() for word in (f"--{key}", value))]
        (folder / "plan.toml").write_text(plan_toml(plan), encoding="utf-8")
        for name in (AGGREGATOR, *_shards(args)):
            run_command(["aggregator", "init", str(folder / "plan.toml"), str(folder / name)], "init")
        rounds = RoundCosts()
        costs = _run(plan, folder, broker.pid, connect, rounds, args)
        return _result(plan, folder / AGGREGATOR, costs, rounds)


def _shards(args: argparse.Namespace) -> list[str]:
    return [f"shard-{index}" for index in range(args.shards)]


def _run(
    plan: Plan,
    folder: Path,
    broker: int,
    connect: Sequence[str],
    rounds: RoundCosts,
    args: argparse.Namespace,
) -> dict[str, Cost]:
    """Aggregator and fleet until all have finished; what each but the fleet cost, and the broker, a process id or 0."""
    bar = Bar(plan.rounds.sites, rounds, quiet=args.json or not sys.stderr.isatty())
    rounds.watch(METER, [os.getpid()])
    rounds.watch(BROKER, [broker] if broker else [])
    with ExitStack() as stack:
        stack.enter_context(bar.progress)
        processes = stack.enter_context(Processes(folder / "logs"))
        watches = {BROKER: stack.enter_context(Watch(broker))} if broker else {}
        roles = {AGGREGATOR: ["--shards", str(args.shards)] if args.shards else []}
        roles |= {name: ["--shard", f"{i}/{args.shards}"] for i, name in enumerate(_shards(args))}
        for name, role in roles.items():
            serve = ["fedfin", "aggregator", "serve", str(folder / name), "--json", "--no-keys"]
            processes.start(name, [*serve, *connect, *role], bar.on_aggregator)
            watches[name] = stack.enter_context(Watch(processes.pid(name)))
            rounds.watch(name, [processes.pid(name)])
        names = _start_fleet(processes, plan.rounds.sites, connect, args.processes)
        rounds.watch(FLEET, [processes.pid(name) for name in names])
        processes.wait([*roles, *names])
    return {name: Cost(round(watch.peak_mb, 1), watch.cpu_s) for name, watch in watches.items()}


def _start_fleet(processes: Processes, sites: int, connect: Sequence[str], count: int) -> list[str]:
    """The sites, spread over `count` processes; their names."""
    bounds = np.linspace(0, sites, min(count, sites) + 1).astype(int).tolist()
    names = []
    for first, end in itertools.pairwise(bounds):
        names.append(f"fleet-{first}")
        where = [*connect, "--federation", FEDERATION]
        which = ["--first", str(first), "--count", str(end - first)]
        processes.start(names[-1], ["benchmarks.transport.fleet_process", *where, *which])
    return names


def _result(plan: Plan, folder: Path, costs: dict[str, Cost], rounds: RoundCosts) -> Result:
    journal = Journal(folder / "journal.sqlite")
    final, expected = read_model(folder / "final.fedfin").tensors, expected_model(plan, plan.rounds.sites)
    same = all(final[name].tobytes() == expected[name].tobytes() for name in expected)
    figures = [_figures(row, rounds.of(row.round)) for row in journal.rounds()]
    journal.close()
    return Result(plan.rounds.sites, figures, same, costs)


def _figures(row: RoundRow, cpu_s: Mapping[str, float]) -> RoundFigures:
    assert row.closed is not None
    folded, seconds = int(row.results["sites"]), round(row.closed - row.opened, 3)
    return RoundFigures(row.task, folded, row.results["bytes"] / 1e6, seconds, cpu_s)


def show(results: list[Result]) -> None:
    """Tables for people."""
    console = Console()
    for result in results:
        names = list(result.rounds[0].cpu_s)
        table = Table(
            "round", "updates folded", "MB", "seconds", "updates/s", *names, title=f"{result.sites} sites"
        )
        for figures in result.rounds:
            table.add_row(
                figures.task,
                str(figures.folded),
                f"{figures.mb:.1f}",
                f"{figures.seconds:.2f}",
                f"{figures.updates_per_s:.0f}",
                *(f"{figures.cpu_ms(name):.2f}" for name in names),
            )
        console.print(table, "The last columns: CPU milliseconds an update.")
        for name, cost in result.costs.items():
            console.print(f"{name}: peak {cost.peak_mb:.0f} MB, {cost.cpu_s:.1f} CPU-s")
        console.print(f"the model is {'as expected' if result.same_model else 'NOT as expected'}\n")
    if len(results) > 1:
        more = results[-1].costs[AGGREGATOR].peak_mb - results[0].costs[AGGREGATOR].peak_mb
        console.print(
            f"aggregator from {results[0].sites} to {results[-1].sites} sites: {more:+.1f} MB at its peak"
        )


def allow_connections(sites: int) -> None:
    """Let the broker, which inherits it, open a socket per site. Raises FedfinError when the system does not."""
    wanted = sites + 200  # listeners, logs, libraries
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise FedfinError(
            f"{sites} sites need {wanted} open files, this system allows {hard}; see `ulimit -Hn`"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def main() -> int:
    """Run and print; 1 when an update was lost or the model is not the expected one."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.transport.fleet",
        description=__doc__.splitlines()[0] if __doc__ else "",
        epilog="example: python -m benchmarks.transport.fleet --sites 10 1000 --update-kb 100 --processes 4",
    )
    parser.add_argument(
        "--sites", type=int, nargs="+", default=[10, 1000], help="one run each (default: 10 1000)"
    )
    parser.add_argument("--update-kb", type=float, default=100.0, help="of a training update (default: 100)")
    parser.add_argument("--rounds", type=int, default=3, help="of training (default: 3)")
    parser.add_argument("--processes", type=int, default=4, help="that hold the sites (default: 4)")
    parser.add_argument("--shards", type=int, default=0, help="that share the work (default: none)")
    parser.add_argument("--tls", action="store_true", help="over mqtts://, with client certificates")
    parser.add_argument("--broker", metavar="URL", help="a running broker (default: a fresh mosquitto)")
    parser.add_argument("--json", action="store_true", help="as JSON, without a progress bar")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process outlives this one
    try:
        allow_connections(max(args.sites))
        results = [measure(sites, args) for sites in args.sites]
    except FedfinError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if args.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        show(results)
    complete = all(f.folded == r.sites for r in results for f in r.rounds)
    return 0 if complete and all(r.same_model for r in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
