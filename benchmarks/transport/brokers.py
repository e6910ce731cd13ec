"""How long a round takes over each broker that is installed here, beside mosquitto: three sites, five training rounds.

    python -m benchmarks.transport.brokers [BROKER ...] [--turns 3] [--json]

Of RabbitMQ, mosquitto and ejabberd, also those of newer Debians (`make other-debians`), named by their suites.
All brokers run from the beginning; federations go over one after the other, in turns, so that what else this machine
does meets them alike. Real processes; only what a site would compute is ready beforehand (stand_in_site.py). Updates
are not compressed. Seconds are of all training rounds after the first, over all turns: the median, and the least. CPU
seconds are the broker's own of a federation, by its rounds (of a bridge: the centre's).
"""

import argparse
import contextlib
import itertools
import json
import math
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.transport.aedes import aedes
from benchmarks.transport.bridge import bridge
from benchmarks.transport.broker import Broker, mosquitto, running
from benchmarks.transport.ejabberd import ejabberd
from benchmarks.transport.process_costs import group_cpu_seconds
from benchmarks.transport.rabbitmq import rabbitmq
from benchmarks.transport.stand_ins import AGGREGATOR, FEDERATION, LARGE, SMALL, Folders, Line, stand_in_plan
from benchmarks.transport.system import SYSTEMS, System
from fedfin.demo.processes import Processes, free_port
from fedfin.errors import FedfinError
from fedfin_aggregator.store.journal import Journal

SITES, ROUNDS = 3, 5
SIZES = {"50 KB": SMALL, "5 MB": LARGE}


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Broker]:
    """amqtt, which comes with `pip install 'fedfin[broker]'`."""
    port = free_port()
    command = [sys.executable, "-m", "fedfin.demo.broker", str(port)]
    with running(command, port, folder / "amqtt.log") as pid:
        yield Broker(f"mqtt://127.0.0.1:{port}?protocol=3.1.1", pid)


@contextlib.contextmanager
def large_packets(folder: Path) -> Iterator[Broker]:
    """RabbitMQ, to which all parties send packets of up to 1 MiB."""
    with rabbitmq(folder) as broker:
        yield replace(broker, url=f"{broker.url}?packet=1024")


def _of(system: System) -> dict[str, Callable[[Path], AbstractContextManager[Broker]]]:
    """Those that Debian has."""
    suffix = f" {system.suite}" if system.suite else ""
    return {
        f"mosquitto{suffix}": lambda folder: mosquitto(folder, "max_queued_messages 0", system),
        f"RabbitMQ{suffix}": lambda folder: rabbitmq(folder, system),
        f"ejabberd{suffix}": lambda folder: ejabberd(folder, system),
    }


BROKERS: dict[str, Callable[[Path], AbstractContextManager[Broker]]] = {
    **{name: start for system in SYSTEMS for name, start in _of(system).items()},
    "RabbitMQ, packet=1024": large_packets,
    "mosquitto bridge": lambda folder: bridge(folder, FEDERATION),
    "aedes": aedes,
    "amqtt": embedded,
}


@dataclass
class Figures:
    """Of one broker and size. `seconds`: of each training round after the first; `cpu_s`: the broker's, by turn."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


Found = dict[str, dict[str, Figures]]  # by broker and size of an update


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("broker", nargs="*", choices=[*BROKERS, []], metavar="BROKER",
                        help=f"of: {'; '.join(BROKERS)} (default: all that are installed)")  # fmt: skip
    parser.add_argument("--turns", type=int, default=3, help="federations over each broker (default: 3)")
    parser.add_argument("--json", action="store_true", help="as JSON, with every round")
    args = parser.parse_args()
    found = measure(args.broker or list(BROKERS), args.turns)
    if args.json:
        print(json.dumps(found, indent=2, default=asdict))
    else:
        _print(found)


def measure(names: Sequence[str], turns: int) -> Found:
    """In a temporary folder."""
    found: Found = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedfin-brokers-")))
        brokers = _start(names, folder, stack)
        for turn, size, name in itertools.product(range(turns), SIZES, brokers):
            work = folder / _folder_name(f"{name} {size} {turn}")
            work.mkdir()
            figures = found.setdefault(name, {}).setdefault(size, Figures())
            before = group_cpu_seconds(brokers[name].pid)
            figures.seconds += federate(brokers[name], work, SIZES[size])
            figures.cpu_s.append((group_cpu_seconds(brokers[name].pid) - before) / ROUNDS)
    return found


def _start(names: Sequence[str], folder: Path, stack: ExitStack) -> dict[str, Broker]:
    """Those that are installed; the others are named."""
    brokers = {}
    for name in names:
        own = folder / _folder_name(name)
        own.mkdir()
        try:
            brokers[name] = stack.enter_context(BROKERS[name](own))
        except FedfinError as error:
            print(f"{name}: {error}", file=sys.stderr)
    return brokers


def _folder_name(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def federate(broker: Broker, folder: Path, width: int) -> list[float]:
    """Seconds of each training round after the first."""
    plan = stand_in_plan(folder, sites=SITES, rounds=ROUNDS, width=width)
    urls = {AGGREGATOR: broker.url}
    folders = Folders(
        folder, lambda name: Line(urls.get(name, broker.site_url or broker.url), {}, broker.login), plan
    )
    with Processes(folder / "logs") as processes:
        for name, command in folders.commands.items():
            processes.start(name, command)
        processes.wait(list(folders.commands))
    with contextlib.closing(Journal(folders.journal)) as journal:
        opened = [row.opened for row in journal.rounds() if row.round >= 3]
    return [after - before for before, after in itertools.pairwise(opened)]


def _print(found: Found) -> None:
    table = Table(
        "update", "broker", "s/round", "of mosquitto's", "least", "of mosquitto's", "broker's CPU-s/round"
    )
    for size, (name, by) in itertools.product(SIZES, found.items()):
        beside = found["mosquitto"][size].seconds if "mosquitto" in found else [math.nan]
        median, least = statistics.median(by[size].seconds), min(by[size].seconds)
        figures = (median, median / statistics.median(beside), least, least / min(beside))
        spent = statistics.median(by[size].cpu_s)
        table.add_row(size, name, *(f"{figure:.2f}" for figure in (*figures, spent)))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
