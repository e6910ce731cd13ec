"""What the aggregator learns of single patients from what it sees, at each level of privacy: docs/leakage.md.

    python -m benchmarks.leakage --quick
    python -m benchmarks.leakage --patients 72 --dims 16 --sites 10 --json > default.json
    python -m benchmarks.leakage --show default.json

Every value that is attacked is made by a site's own tasks, read from the bytes that it would send, and summed as the
aggregator sums. The records are made up (benchmarks/leakage/people.py), or, with `--real`, real ones.
"""

import argparse
import sys
from collections.abc import Iterator

from benchmarks.leakage import differencing
from benchmarks.leakage.levels import EXACT, PLAIN
from benchmarks.leakage.measure import MOST_CANDIDATES, Cell, attack, attack_noised, make_listener
from benchmarks.leakage.options import read_options
from benchmarks.leakage.people import People, deal, made_up
from benchmarks.leakage.projection import principal_axes
from benchmarks.leakage.report import Report, print_reports, read_report, report_json
from benchmarks.leakage.tables import mean_over_seeds
from fedfin.command_line.progress import ProgressBar
from fedfin.errors import FedfinError

REFERENCE = 1000  # made-up cases of nobody's patients, by which the strong adversary knows the population


def measure_all(args: argparse.Namespace) -> Iterator[list[Cell]]:
    """One federation after the other, of every seed, number of dimensions, of sites and of patients."""
    plain, noise = [level for level in PLAIN if level.name in args.levels], "private" in args.levels
    for seed in range(args.seeds):
        reference, others, rest = _people(args, seed)
        for dims in args.dims:
            project = principal_axes(reference, dims)
            listener = make_listener(project(reference), args.rounds, args.epochs)
            for sites, patients in args.federations:
                parts = [project(site) for site in deal(rest, [patients] * sites)]
                yield attack(listener, parts, project(others), seed, plain)
                yield attack_noised(listener, parts, project(others), seed) if noise else []


def _people(args: argparse.Namespace, seed: int) -> tuple[People, People, People]:
    """The strong adversary's own, others who are at no site, and the sites'. Raises InputError."""
    if args.collection:
        people = args.collection.load(args.folder, seed)
        sizes = [args.collection.reference, args.collection.others]
    else:
        sizes = [REFERENCE, MOST_CANDIDATES]
        people = made_up(sum(sizes) + max(sites * patients for sites, patients in args.federations), seed)
    reference, others, rest = deal(people, [*sizes, len(people) - sum(sizes)])
    return reference, others, rest


def _measure(args: argparse.Namespace) -> Report:
    total, cells = 2 * args.seeds * len(args.dims) * len(args.federations), list[Cell]()
    with ProgressBar() as bar:
        bar.update("federations", 0, total)
        for done, found in enumerate(measure_all(args), 1):
            cells += found
            bar.update("federations", done, total)
    return Report(
        data=args.collection.name if args.collection else "made-up",
        rounds=args.rounds,
        epochs=args.epochs,
        seeds=args.seeds,
        cells=mean_over_seeds(cells),
        single=[one for level in EXACT for one in differencing.run(level)],
    )


def main() -> int:
    """See the module's docstring."""
    args = read_options(__doc__.splitlines()[0])
    try:
        reports = [read_report(path) for path in args.show] if args.show else [_measure(args)]
    except FedfinError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if args.json:
        print(report_json(reports[0]), end="")
    else:
        print_reports(reports)
    return 0


if __name__ == "__main__":
    sys.exit(main())
