"""The options of `python -m benchmarks.leakage`: which federations are attacked, and whose records."""

import argparse
from pathlib import Path

from benchmarks.commands import positive
from benchmarks.leakage.levels import NOISED, PLAIN
from benchmarks.leakage.people import WHOLE
from benchmarks.leakage.real_people import COLLECTIONS
from fedfin.limits import SUMMED_ROUNDS

PATIENTS, DIMS, SITES = [10, 72, 300], [8, 16, 32, 128], [3, 10]
LEVELS = [level.name.partition(",")[0] for level in (*PLAIN, NOISED[0])]
QUICK = {"patients": [10, 72], "dims": [16, WHOLE], "sites": [3], "rounds": 2, "seeds": 1}
FULL = {"patients": PATIENTS, "dims": DIMS, "sites": SITES, "rounds": SUMMED_ROUNDS, "seeds": 3}


def read_options(summary: str) -> argparse.Namespace:
    """Of the command line. `federations`: sites, and patients of each; `collection`: of --real, or None."""
    parser = _parser(summary)
    args = parser.parse_args()
    for name, value in (QUICK if args.quick else FULL).items():
        setattr(args, name, getattr(args, name) or value)
    args.federations = [(sites, patients) for sites in args.sites for patients in args.patients]
    args.collection = None
    if args.real:
        _take_real(parser, args)
    return args


def _take_real(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    name, folder = args.real
    if name not in COLLECTIONS:
        parser.error(f"--real {name}: is not one of {', '.join(COLLECTIONS)}")
    args.collection, args.folder = COLLECTIONS[name], Path(folder)
    most = args.collection.at_sites
    args.federations = [one for one in args.federations if one[0] * one[1] <= most]
    if not args.federations:
        parser.error(f"--real {name}: has {most} patients for sites, and every federation asked for has more")


def _parser(summary: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.leakage",
        description=summary,
        epilog="example: python -m benchmarks.leakage --quick",
    )
    parser.add_argument("--patients", type=positive, nargs="+", help="of each site (default: 10 72 300)")
    parser.add_argument(
        "--dims", type=positive, nargs="+", help=f"dimensions (default: 8 16 32 128; all: {WHOLE})"
    )
    parser.add_argument("--sites", type=int, nargs="+", choices=SITES, help="of a federation (default: 3 10)")
    parser.add_argument(
        "--levels", nargs="+", choices=LEVELS, default=LEVELS, help="of privacy (default: all)"
    )
    parser.add_argument("--rounds", type=positive,
                        help=f"of training (default {SUMMED_ROUNDS}, as drafted with secure sums)")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=0, choices=range(21), metavar="N",
                        help="of each round (default 0: what a plan makes of the number of cases)")  # fmt: skip
    parser.add_argument("--seeds", type=positive, help="draws of patients (default 3)")
    parser.add_argument("--quick", action="store_true", help="few cells, two rounds: less than a minute")
    data, real = ", ".join(COLLECTIONS), ("DATA", "FOLDER")
    parser.add_argument(
        "--real", nargs=2, metavar=real, help=f"real records, as many as there are: {data}, and its files"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--show",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="print the tables of such JSON files together, and end",
    )
    return parser
