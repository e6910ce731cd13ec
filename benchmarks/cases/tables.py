"""What the makers of case tables share: reading a data set's CSV, finding its files, writing our table."""

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from fedfin.errors import InputError
from fedfin.files import make_folder, write_atomically

Row = dict[str, str]
_BEYOND = None  # where csv puts the cells of a line that go beyond the header's
Image = tuple[Path, bool | None]  # a file, and whether it is a frontal view, if that is known

TEXTS = ("text", "findings", "impression", "indication")
# Columns that are no labels. In this order they begin a table.
COLUMNS = ("case", "patient", "split", "image", *TEXTS)
IMAGES = ("one", "frontal", "all")


def find_csv(path: Path) -> Path:
    """A CSV file, or the same compressed with .gz added to its name. Raises InputError when neither is there."""
    zipped = path.with_name(path.name + ".gz")
    found = path if path.is_file() else zipped
    if not found.is_file():
        raise InputError(f"{path}: is not there, nor {zipped.name}; give the data set's folder")
    return found


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """These columns of a CSV file, .gz or not, and those of `optional` that it has.

    Undecodable bytes become U+FFFD. Raises InputError where a column is missing, or a line has fewer or more
    cells than the header.
    """
    try:
        with _open(path) as file:
            return list(_rows(path, csv.DictReader(file), columns, optional))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is damaged: download it again"
        raise InputError(f"{path}: cannot read it ({reason}); give the data set's folder") from None


def _rows(
    path: Path, reader: "csv.DictReader[str]", columns: Sequence[str], optional: Sequence[str]
) -> Iterator[Row]:
    try:
        header = reader.fieldnames or ()
        missing = [column for column in columns if column not in header]
        if missing:
            raise InputError(f"{path}: has no column {', '.join(missing)}; is it this data set's folder?")
        taken = [*columns, *(column for column in optional if column in header)]
        for row in reader:
            if any(row[column] is None for column in taken) or any(row.get(_BEYOND) or ()):
                raise InputError(f"{path}: line {reader.line_num} has not as many cells as the header")
            yield {column: row[column] for column in taken}
    except csv.Error as error:
        raise InputError(f"{path}: is not valid CSV after line {reader.line_num} ({error})") from None


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def choose(images: Iterable[Image], which: str) -> list[Path]:
    """Which of a case's images become rows: one of `IMAGES`.

    one: the first frontal view, or the first image where no view is known; frontal: every frontal view.
    """
    images = list(images)
    if which == "all":
        return [path for path, _ in images]
    known = any(frontal is not None for _, frontal in images)
    if which == "frontal" and images and not known:
        raise InputError("which images are frontal is not known here; use --images one or all")
    frontal = [path for path, frontal in images if frontal or not known]
    return frontal[:1] if which == "one" else frontal


def with_files(rows: Sequence[Row]) -> list[Row]:
    """Rows whose image exists, which makes the path absolute, and rows that have none but a text.

    How many lack their file is told on stderr. Raises InputError where no image of any row exists.
    """
    there = [bool(row["image"]) and Path(row["image"]).is_file() for row in rows]
    if not any(there):
        raise InputError("no image of the table exists; give the data set's folder")
    missing = sum(bool(row["image"]) and not found for row, found in zip(rows, there, strict=True))
    if missing:
        print(f"{missing} rows are left out: their image is not there", file=sys.stderr)
    return [
        row | {"image": str(Path(row["image"]).resolve())} if found else row
        for row, found in zip(rows, there, strict=True)
        if found or (not row["image"] and texts_of(row))
    ]


def texts_of(row: Row) -> list[str]:
    """The columns in which the row has a text."""
    return [column for column in TEXTS if row.get(column)]


def label_columns(rows: Sequence[Row]) -> list[str]:
    """The table's labels: every column that is nothing else."""
    return [column for column in (rows[0] if rows else ()) if column not in COLUMNS]


def write_table(out: Path, rows: Sequence[Row]) -> None:
    """Write the case table, whole or not at all. Raises StateError when it cannot be written there."""
    make_folder(out.parent)
    file = io.StringIO(newline="")
    columns = [column for column in COLUMNS if column in rows[0]]
    writer = csv.DictWriter(file, columns + label_columns(rows))
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(out, file.getvalue().encode(errors="replace"))
