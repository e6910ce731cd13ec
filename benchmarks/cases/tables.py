"""What the makers of case tables share: reading a data set's CSV, writing ours, counting, the command."""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fedfin.errors import FedfinError, InputError
from fedfin.files import make_folder, write_atomically

Row = dict[str, str]


def read_csv(path: Path, columns: Sequence[str]) -> list[Row]:
    """Rows of a CSV file; undecodable bytes become U+FFFD. Raises InputError where a column is missing."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror}); give the data set's folder") from None
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path}: has no column {', '.join(missing)}; is it this data set's folder?")
    return rows


def with_files(rows: Sequence[Row]) -> list[Row]:
    """Rows whose image exists, which makes the path absolute. Raises InputError where none does."""
    kept = [
        row | {"image": str(Path(row["image"]).resolve())} for row in rows if Path(row["image"]).is_file()
    ]
    if not kept:
        raise InputError("no image of the table exists; give the data set's folder")
    return kept


def write_table(out: Path, rows: Sequence[Row]) -> None:
    """Write the case table, whole or not at all. Raises StateError when it cannot be written there."""
    make_folder(out.parent)
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(out, file.getvalue().encode(errors="replace"))


def describe(rows: Sequence[Row], labels: Sequence[str]) -> str:
    """Counts of cases, patients and texts, and of cases and patients for each label."""
    texts = sum(bool(row.get("text")) for row in rows)
    lines = [f"{len(rows)} cases of {_patients(rows)} patients, {texts} with text"]
    for label in labels:
        present, unknown = ([row for row in rows if row[label] == value] for value in ("1", ""))
        count = f"{len(present):4} cases of {_patients(present):4} patients, {len(unknown):4} unknown"
        lines.append(f"  {label:20} {count}")
    return "\n".join(lines)


def run(
    parser: argparse.ArgumentParser, make: Callable[[argparse.Namespace], list[Row]], labels: Sequence[str]
) -> int:
    """Parse the command line, make the table, write it, print its counts; return the exit code."""
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT_TABLE")
    args = parser.parse_args()
    try:
        rows = make(args)
    except FedfinError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    write_table(args.out, rows)
    print(describe(rows, labels))
    return 0


def _patients(rows: Sequence[Row]) -> int:
    return len({row["patient"] for row in rows})
