"""A case table's file as rows, by its kind: text, an Excel workbook or Parquet."""

from collections.abc import Callable
from pathlib import Path

from fedfin.errors import InputError
from fedfin_edge.cases.problem import Problem
from fedfin_edge.cases.rows import DAMAGED, Progress, Rows, clean, silent
from fedfin_edge.cases.text_rows import read_bytes, read_csv, read_json_lines

_WORKBOOK, _PARQUET = b"PK\x03\x04", b"PAR1"
# The first bytes of files that are no text, whatever their names say, and how to make one of them.
_NO_TEXT = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, or one with a password; save it as .xlsx without a password",
    b"\x1f\x8b": "compressed by gzip; unpack it with gunzip",
}


def read_rows(path: Path, progress: Progress = silent) -> Rows:
    """Read a .csv, .tsv, .jsonl, .ndjson, .xlsx, .xlsm or .parquet file; the last two also under another's name.

    Raises InputError when the file is missing, empty, of another kind or encoding, or names a column twice;
    ModuleNotFoundError, which the command line explains, when the library for its kind is not installed.
    """
    rows = _reader(path)(path, progress)
    if not rows.rows and not rows.problems:
        raise InputError(f"{path}: the table has no rows; add one row per case")
    _mend(rows)
    return rows


def _reader(path: Path) -> Callable[[Path, Progress], Rows]:
    """By content, where that tells; by suffix otherwise."""
    start, suffix = read_bytes(path, 4), path.suffix.lower()
    if start == _WORKBOOK:
        from fedfin_edge.cases.workbook import read_workbook

        return read_workbook
    if start == _PARQUET:
        from fedfin_edge.cases.parquet import read_parquet

        return read_parquet
    for marker, kind in _NO_TEXT.items():
        if start.startswith(marker):
            raise InputError(f"{path}: the case table is {kind}")
    if suffix in {".csv", ".tsv"}:
        return read_csv
    if suffix in {".jsonl", ".ndjson"}:
        return read_json_lines
    if suffix in {".xlsx", ".xlsm", ".parquet"}:
        raise InputError(f"{path}: is no {suffix} file, whatever its name says; if it is CSV, name it .csv")
    raise InputError(
        f"{path}: a case table is a .csv, .jsonl, .xlsx or .parquet file; save it as one of these"
    )


def _mend(rows: Rows) -> None:
    """Replace what no encoder or file system takes (NUL, lone surrogates), and note every damaged cell."""
    for row, cells in rows.rows:
        for column, cell in cells.items():
            if not isinstance(cell, str):
                continue
            cells[column] = mended = clean(cell)
            if DAMAGED in mended:
                reason = "holds unreadable characters (not UTF-8 text)"
                rows.problems.append(Problem(row, column, reason, "noted"))
