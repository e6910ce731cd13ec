"""What a listener, or the aggregator, learns of single patients from what sites send.

    python -m benchmarks.leakage [--patients 10 72 300] [--dims 16 32 64 256 1664] [--quick] [--json]

Every value that is attacked is made by a site's own tasks and read from the bytes that it would send. Ten sites of so
many patients each; one site's part is attacked, and the sum over all. `--covid-cxr FOLDER`: features of real encoders,
one case of each patient; else they are made up (benchmarks/leakage/people.py). docs/leakage.md says what is what.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.commands import add_cache, cache_folder, positive
from benchmarks.leakage import differencing
from benchmarks.leakage.measure import MOST_CANDIDATES, Leak, attack, make_listener
from benchmarks.leakage.people import REFERENCE, WHOLE, People, covid_cxr, deal, made_up
from benchmarks.leakage.projection import principal_axes
from fedfin.errors import FedfinError

PATIENTS, DIMS = [10, 30, 72, 100, 300, 1000], [16, 32, 64, 256, WHOLE]
QUICK_PATIENTS, QUICK_DIMS = [10, 72], [16, WHOLE]
REAL_REFERENCE = 100  # the rest of that collection's patients are members, and as many others


def measure_all(args: argparse.Namespace) -> Iterator[list[Leak]]:
    """One cell of the table after the other."""
    for seed in range(args.seeds):
        for dims in args.dims:
            for patients in args.patients:
                yield _measure(args, seed, dims, patients)


def _measure(args: argparse.Namespace, seed: int, dims: int, patients: int) -> list[Leak]:
    others = min(patients if args.covid_cxr else MOST_CANDIDATES, MOST_CANDIDATES)
    reference, beside, *sites = _people(args, seed, [others, *[patients] * args.sites])
    project = principal_axes(reference, dims)
    listener = make_listener(project(reference), args.rounds)
    projected = [project(site) for site in sites]
    return attack(listener, projected, project(beside), rounds=args.rounds, seed=seed, dims=dims)


def _people(args: argparse.Namespace, seed: int, sizes: list[int]) -> list[People]:
    """The listener's own, others, then the sites'."""
    if args.covid_cxr:
        people = covid_cxr(args.covid_cxr, cache_folder(args), seed)
        return deal(people, [REAL_REFERENCE, *sizes])
    return deal(made_up(REFERENCE + sum(sizes), seed), [REFERENCE, *sizes])


def print_tables(leaks: list[Leak], recovered: list[differencing.Recovered]) -> None:
    """Means over seeds: a row for scope, dimensions and patients; a column for each attack."""
    found: dict[tuple[str, int, int], dict[str, list[Leak]]] = defaultdict(lambda: defaultdict(list))
    for leak in leaks:
        found[leak.scope, leak.dims, leak.patients][leak.attack].append(leak)
    attacks = list(next(iter(found.values())))
    table = Table("seen of", "dims", "patients a site", title="AUC; of records, the share found (by chance)")
    for attack_ in attacks:
        table.add_column(attack_, justify="right")
    for (scope, dims, patients), cells in sorted(
        found.items(), key=lambda item: (item[0][0] != "one site", item[0])
    ):
        table.add_row(scope, str(dims), str(patients), *(_cell(cells[attack_]) for attack_ in attacks))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    exact = Table(
        "what shows one patient", *(f"{one} patients" for one in sorted({r.patients for r in recovered}))
    )
    for name in differencing.ATTACKS:
        exact.add_row(name, *("recovered" if r.recovered else "no" for r in recovered if r.attack == name))
    Console(width=None if sys.stdout.isatty() else 200).print(exact)


def _cell(leaks: list[Leak]) -> str:
    score = float(np.mean([leak.score for leak in leaks]))
    if leaks[0].attack.endswith("found"):
        return f"{score:.0%} ({np.mean([leak.by_chance for leak in leaks]):.0%})"
    return f"{score:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leakage", description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=positive, nargs="+", help="of each site")
    parser.add_argument("--dims", type=positive, nargs="+", help="features after projection; 1664: all")
    parser.add_argument("--sites", type=positive, default=10, help="sites (default 10)")
    parser.add_argument("--rounds", type=positive, help="of training before the final model (default 20)")
    parser.add_argument("--seeds", type=positive, default=1, help="draws of patients (default 1)")
    parser.add_argument("--quick", action="store_true", help="few cells, two rounds: some seconds each")
    parser.add_argument("--covid-cxr", type=Path, metavar="FOLDER", help="that collection's files")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_cache(parser)
    args = parser.parse_args()
    args.patients = args.patients or (QUICK_PATIENTS if args.quick else PATIENTS)
    args.dims = args.dims or (QUICK_DIMS if args.quick else DIMS)
    args.rounds = args.rounds or (2 if args.quick else 20)
    return args


def main() -> int:
    """See the module's docstring."""
    args = _options()
    total, started, leaks = args.seeds * len(args.dims) * len(args.patients), time.monotonic(), list[Leak]()
    try:
        for done, cell in enumerate(measure_all(args), 1):
            leaks += cell
            left = (time.monotonic() - started) / done * (total - done)
            print(f"{done} of {total} cells, about {left:.0f} s left", file=sys.stderr)
    except FedfinError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    recovered = [one for patients in args.patients for one in differencing.run(patients, 0)]
    if args.json:
        print(
            json.dumps({"leaks": list(map(asdict, leaks)), "single": list(map(asdict, recovered))}, indent=2)
        )
    else:
        print_tables(leaks, recovered)
    return 0


if __name__ == "__main__":
    sys.exit(main())
