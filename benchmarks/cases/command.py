"""The command line of every maker of case tables: options, checks, counts."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cases import leaks
from benchmarks.cases.tables import IMAGES, Row, label_columns, texts_of, write_table
from fedfin.errors import FedfinError, InputError


def make_parser(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks.cases.NAME`; `example` are the arguments of a usual call."""
    prog = f"python -m benchmarks.cases.{name}"
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=f"example:\n  {prog} {example}\n\nWhat the table holds: docs/datasets.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Let the user choose which images become rows."""
    parser.add_argument(
        "--images",
        choices=IMAGES,
        default="one",
        help="a row for one frontal image of each study (the default), for every frontal one, or for all",
    )


def describe(rows: Sequence[Row]) -> str:
    """Counts of cases, patients and texts, of the split's sides, and of cases and patients for each label."""
    texts = sum(bool(texts_of(row)) for row in rows)
    lines = [f"{len(rows)} cases of {_patients(rows)} patients, {texts} with text"]
    width = max([20, *map(len, label_columns(rows))])
    for side in sorted({row.get("split", "") for row in rows} - {""}):
        on_it = [row for row in rows if row["split"] == side]
        lines.append(f"  {side:{width}} {len(on_it):4} cases of {_patients(on_it):4} patients")
    for label in label_columns(rows):
        present, unknown = ([row for row in rows if row[label] == value] for value in ("1", ""))
        count = f"{len(present):4} cases of {_patients(present):4} patients, {len(unknown):4} unknown"
        lines.append(f"  {label:{width}} {count}")
    return "\n".join(lines)


def run(parser: argparse.ArgumentParser, make: Callable[[argparse.Namespace], list[Row]]) -> int:
    """Parse the command line, make the table, check and write it, print its counts; return the exit code."""
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT_TABLE")
    args = parser.parse_args()
    try:
        if not args.data.is_dir():
            raise InputError(f"{args.data}: there is no such folder; give the data set's folder")
        rows = make(args)
        leaks.check(rows)
        write_table(args.out, rows)
    except FedfinError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(describe(rows))
    return 0


def _patients(rows: Sequence[Row]) -> int:
    return len({row["patient"] for row in rows})
