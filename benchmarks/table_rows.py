"""How long a site's case table takes to read and check, and how much memory.

    python -m benchmarks.table_rows [--rows 300000] [--json]

Made-up cases with reports of about 400 characters, an image file that is there and fourteen labels, as CSV, as an
Excel workbook and as Parquet (the `tables` extra). Each is read by a process of its own; its peak resident set is
given in MB of 10^6 bytes, and that before it read anything beside it.
"""

import argparse
import csv
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fedfin.memory import peak_rss_mb
from fedfin_edge.cases.table import InputColumn, parse_table
from fedfin_edge.site import CaseColumns

LABELS = [f"label_{number}" for number in range(14)]
HEADER = ["case", "patient", "image", "text", *LABELS]
INPUTS = {"image": InputColumn("image", "image"), "text": InputColumn("text", "text")}
SENTENCE = "The lungs are clear, without a focal consolidation. "
IMAGE = "image.png"


@dataclass(frozen=True)
class Figures:
    """table_mb: the file; seconds: until every row is a case; start_mb, peak_mb: of the process."""

    kind: str
    rows: int
    table_mb: float
    seconds: float
    start_mb: float
    peak_mb: float


def make_rows(count: int) -> Iterator[list[str]]:
    """Three cases a patient, of which every report is another."""
    for number in range(count):
        labels = [str((number >> bit) & 1) for bit in range(len(LABELS))]
        yield [f"case-{number}", f"patient-{number // 3}", IMAGE, f"Case {number}. {SENTENCE * 8}", *labels]


def write_csv(path: Path, count: int) -> None:
    """With a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(make_rows(count))


def write_workbook(path: Path, count: int) -> None:
    """One sheet; labels are numbers."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(HEADER)
    for row in make_rows(count):
        sheet.append([*row[:4], *map(int, row[4:])])
    book.save(path)


def write_parquet(path: Path, count: int) -> None:
    """One row group; labels are numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [list(column) for column in zip(*make_rows(count), strict=True)]
    cells = columns[:4] + [[int(cell) for cell in column] for column in columns[4:]]
    pq.write_table(pa.table(dict(zip(HEADER, cells, strict=True))), path)


KINDS: dict[str, Callable[[Path, int], None]] = {
    "csv": write_csv,
    "xlsx": write_workbook,
    "parquet": write_parquet,
}


def measure(path: Path) -> Figures:
    """Read one table in this process."""
    start_mb = peak_rss_mb()
    begun = time.perf_counter()
    table = parse_table(path, CaseColumns(table=path.name), INPUTS, settings="the benchmark")
    seconds = time.perf_counter() - begun
    size = path.stat().st_size / 1e6
    return Figures(path.suffix[1:], len(table.cases), size, seconds, start_mb, peak_rss_mb())


def measure_all(rows: int) -> list[Figures]:
    """Every kind, each made and read by a process of its own."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / IMAGE).touch()
        for kind, write in KINDS.items():
            path = Path(folder) / f"cases.{kind}"
            # Fresh processes: a fork would start with this one's memory.
            with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
                pool.apply(write, (path, rows))
                found.append(pool.apply(measure, (path,)))
    return found


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.table_rows", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, default=300_000, help="rows of each table (default 300000)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    found = measure_all(args.rows)
    if args.json:
        print(json.dumps([asdict(one) for one in found]))
        return 0
    table = Table("table", "rows", "MB", "seconds", "MB before", "MB peak")
    for one in found:
        mbs = [f"{one.table_mb:.0f}", f"{one.seconds:.1f}", f"{one.start_mb:.0f}", f"{one.peak_mb:.0f}"]
        table.add_row(one.kind, f"{one.rows:,}", *mbs)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
