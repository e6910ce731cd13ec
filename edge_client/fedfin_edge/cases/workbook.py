"""Excel workbooks (.xlsx, .xlsm) as rows of cells as a CSV file would hold them; row numbers are Excel's own."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

from fedfin.errors import InputError
from fedfin_edge.cases.plain import plain_cell
from fedfin_edge.cases.problem import Problem
from fedfin_edge.cases.rows import READING, SOME_ROWS, Progress, Rows, read_header

# The workbook of 300,000 reports in benchmarks/table_rows.py has about 200 MB.
MAX_UNPACKED = 512 << 20
MAX_ROWS = 1 << 20  # Excel's limit; openpyxl makes every row up to the number that a damaged file claims


def read_workbook(path: Path, progress: Progress) -> Rows:
    """The first sheet that is not hidden; formulas as the values that Excel saved with them.

    Raises InputError for a file that is damaged or no workbook, and as `read_header`; ModuleNotFoundError without
    openpyxl.
    """
    from openpyxl import load_workbook

    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            _check_unpacked(path, stream)
            # openpyxl warns of what it leaves out, such as styles and drop-down lists: nothing that we read.
            warnings.simplefilter("ignore", UserWarning)
            # A stream, since openpyxl goes by a path's suffix: a workbook may be called .csv.
            sheet, rows = _read_sheet(path, load_workbook(stream, read_only=True, data_only=True), progress)
            if _has_formulas(stream):
                _note_formulas(load_workbook(stream, read_only=True)[sheet], rows)
            return rows
    except InputError:
        raise
    except Exception:  # noqa: BLE001  # a damaged file makes openpyxl raise what it likes, KeyError to zlib.error
        raise InputError(
            f"{path}: is a zip archive, but no Excel workbook that can be read; if it is one, it is incomplete: copy it"
            " again, or open it in Excel and save it as .xlsx; if it holds a table, unpack it"
        ) from None


def _read_sheet(path: Path, book: Any, progress: Progress) -> tuple[str, Rows]:
    """The sheet's name, and its rows."""
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    if not sheets:
        raise InputError(f"{path}: the workbook has no visible sheet")
    total = sheets[0].max_row or 0
    # Some programs write a size that is too small, and openpyxl would read no further.
    sheets[0].reset_dimensions()
    lines = _lines(path, sheets[0], total, progress)
    _, names = next(lines, (1, []))
    columns = read_header(path, names)
    rows = Rows([name for name in columns if name])
    for row, cells in lines:
        rows.take(row, columns, cells + [""] * (len(columns) - len(cells)))
    if len(sheets) > 1:
        rows.problems.append(Problem(1, "", f"the first of {len(sheets)} sheets is read", "noted"))
    return sheets[0].title, rows


def _check_unpacked(path: Path, stream: BinaryIO) -> None:
    """Refuse a workbook by what its parts say they grow to: zipfile reads no more of each."""
    with ZipFile(stream) as archive:
        grown = sum(part.file_size for part in archive.infolist())
    if grown > MAX_UNPACKED:
        raise InputError(
            f"{path}: the workbook unpacks to {grown >> 20:,} MiB, more than {MAX_UNPACKED >> 20};"
            " split it, or save it as CSV"
        )
    stream.seek(0)


def _has_formulas(stream: BinaryIO) -> bool:
    """Whether any sheet has one: looking is quick, reading the formulas takes as long as reading the values."""
    with ZipFile(stream) as archive:
        for name in (name for name in archive.namelist() if name.startswith("xl/worksheets/")):
            with archive.open(name) as sheet:
                end = b""
                while block := sheet.read(1 << 20):
                    if b"<f>" in end + block or b"<f " in end + block:
                        return True
                    end = block[-2:]
    return False


def _note_formulas(sheet: Any, rows: Rows) -> None:
    """A formula that a program wrote and Excel never computed has no value: its cell looks blank."""
    sheet.reset_dimensions()
    cells_of = dict(rows.rows)
    names: dict[int, str] = {}  # by column
    for number, line in enumerate(sheet.iter_rows(), start=1):
        names = names or {
            cell.column: " ".join(str(cell.value).split()) for cell in line if cell.value is not None
        }
        for cell in (cell for cell in line if cell.data_type == "f"):
            name = names.get(cell.column, "")
            if not cells_of.get(number, {}).get(name):
                rows.problems.append(Problem(number, name, "is a formula without a value", "noted"))


def _lines(path: Path, sheet: Any, total: int, progress: Progress) -> Iterator[tuple[int, list[Any]]]:
    """Rows that are not blank, with their numbers."""
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        if number > MAX_ROWS:
            raise InputError(
                f"{path}: a row's number is beyond Excel's {MAX_ROWS:,}; open it in Excel and save it"
            )
        if number % SOME_ROWS == 0:
            progress(READING, number, max(number, total))
        cells = [plain_cell(value) for value in values]
        if any(cells):
            yield number, cells
