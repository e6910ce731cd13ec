"""Case tables as rows of named cells; a row that does not parse is a problem, not an end.

Reads what hospitals' tools write: Excel workbooks, Parquet, JSON lines, and CSV in UTF-8, or UTF-16 with or without
a byte-order mark; lines that end in LF, CRLF or CR; separated by commas, semicolons, tabs or pipes. Nothing here
knows what a column means.
"""

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedfin.errors import InputError
from fedfin_edge.cases.problem import Problem

# A report is a few thousand characters. A cell beyond this is a quote that was never closed, or not a report.
MAX_CELL = 1 << 20
DAMAGED = "\ufffd"
# How ="00123" keeps Excel from taking an id for a number.
_FORCED_TEXT = re.compile(r'="([^"]*)"')
_WORKBOOK, _PARQUET = b"PK\x03\x04", b"PAR1"
# The first bytes of files that are no text, whatever their names say, and how to make one of them.
_NO_TEXT = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, or one with a password; save it as .xlsx without a password",
    b"\x1f\x8b": "compressed by gzip; unpack it with gunzip",
}

# (what is done, rows done, rows in all, as far as is known)
Progress = Callable[[str, int, int], None]


READING = "reading rows"
SOME_ROWS = 1000  # rows between two signs of progress


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass
class Rows:
    """columns in file order; rows as (row number, cells by column)."""

    columns: list[str]
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def skip(self, row: int, reason: str) -> None:
        """Record a row that cannot be used."""
        self.problems.append(Problem(row, "", reason, "row skipped"))

    def take(self, row: int, header: list[str], cells: list[Any]) -> None:
        """Add a row of a table whose header, "" where a column has no name, is `header`; skip one that does not fit."""
        if not _fits(cells, header):
            self.skip(row, f"has {len(cells)} fields where the header has {len(header)}")
        elif cells == header:
            self.skip(row, "is the header again")
        else:
            self.rows.append((row, {name: cell for name, cell in zip(header, cells, strict=False) if name}))


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
    start, suffix = _read(path, 4), path.suffix.lower()
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
        return _read_csv
    if suffix in {".jsonl", ".ndjson"}:
        return _read_json_lines
    if suffix in {".xlsx", ".xlsm", ".parquet"}:
        raise InputError(f"{path}: is no {suffix} file, whatever its name says; if it is CSV, name it .csv")
    raise InputError(
        f"{path}: a case table is a .csv, .jsonl, .xlsx or .parquet file; save it as one of these"
    )


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise InputError(f"{path}: cannot read the case table ({error.strerror}); check the path") from None


def _lines(path: Path) -> Iterator[str]:
    """Lines as text; what does not decode, and NUL, become U+FFFD, which `_mend` finds again."""
    content = _read(path)
    text = content.decode(_encoding(content), errors="replace").replace("\0", DAMAGED)
    # A byte-order mark is at the start; joined files have it further on, where it would be an invisible part of a name.
    return _split(text.replace("\ufeff", ""))


def _split(text: str) -> Iterator[str]:
    """Lines that end at LF, CRLF or CR, left as they are inside quoted cells. StringIO takes 4 bytes a character."""
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")


def _encoding(content: bytes) -> str:
    """UTF-16 by its mark or, without one, by the zero bytes that text has at every other place; else UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = content[:4096]
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    return "utf-16-be" if head[::2].count(0) > len(head) // 4 else "utf-8"


def _read_csv(path: Path, progress: Progress) -> Rows:
    text = "".join(_lines(path)).lstrip("\r\n")
    if text.startswith(("{", "[")):
        raise InputError(f"{path}: the table is JSON; name it .jsonl, with one object per line")
    # Excel's first line: it names the separator, and is no row.
    marked = re.match(r"sep=(.)(?:\r\n|\r|\n)", text, re.IGNORECASE)
    text = text[marked.end() :] if marked else text
    separator = marked[1] if marked else _separator(text)
    total = text.count("\n") or text.count("\r")
    previous = csv.field_size_limit(MAX_CELL)
    try:
        # Strict: a stray quote must be an error; otherwise it silently swallows the rows that follow.
        reader = csv.reader(_split(text), delimiter=separator, strict=True)
        columns = read_header(path, _first(path, reader))
        rows = Rows([name for name in columns if name])
        for row in _take_records(reader, columns, rows):
            if row % SOME_ROWS == 0:
                progress(READING, min(reader.line_num, total), total)
    finally:
        csv.field_size_limit(previous)
    return rows


def _separator(text: str) -> str:
    """The one that is most often in the header, outside of its quotes."""
    header = re.split(r"[\r\n]", re.sub(r'"[^"]*"', "", text[:MAX_CELL]), maxsplit=1)[0]
    return max(",;\t|", key=header.count)


def _first(path: Path, reader: Any) -> list[str]:
    try:
        return list(next(reader, []))
    except csv.Error as error:
        raise InputError(f"{path}: the header cannot be read: {_explain(str(error), 1)}") from None


def read_header(path: Path, cells: list[Any]) -> list[str]:
    """The columns' names; "" for one without. Raises InputError when none has a name, or two the same."""
    # A line break inside a quoted name is one space: site.toml has to name it.
    columns = [" ".join(_text(str(name)).split()) for name in cells]
    if not any(columns):
        raise InputError(f"{path}: the table is empty; its first line must name the columns")
    if columns[0].startswith("#"):
        raise InputError(
            f"{path}: begins with a comment; remove the lines, or the sign, before the columns' names"
        )
    if any(DAMAGED in name for name in columns):
        raise InputError(f"{path}: the header holds unreadable characters; save the table as UTF-8")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} is there twice; rename or remove one")
    return columns


def _take_records(reader: Any, columns: list[str], rows: Rows) -> Iterator[int]:
    """Take one record after the other; yields its number."""
    for row in itertools.count(2):
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rows.skip(row, _explain(str(error), line))
            continue
        if cells:  # not an empty line
            rows.take(row, columns, cells)
        yield row


def _fits(cells: list[Any], columns: list[str]) -> bool:
    """As many cells as columns; separators at the end of the row or of the header do not count."""
    named = max(number for number, name in enumerate(columns, start=1) if name)
    return len(cells) >= named and not any(str(cell).strip() for cell in cells[len(columns) :])


def _explain(message: str, line: int) -> str:
    """What csv's message means; it quotes no content, but is written for programmers."""
    if "field larger" in message:
        return f"a cell from line {line} on is longer than {MAX_CELL:,} characters: is a quote not closed?"
    if "unexpected end" in message:
        return f"a quote opened from line {line} on is never closed; all that follows it is lost"
    return f"not valid CSV from line {line} on: a quote inside a quoted cell must be doubled, not marked by a backslash"


def _read_json_lines(path: Path, _: Progress) -> Rows:
    rows = Rows([])
    columns: dict[str, None] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            named_twice = isinstance(error, _NamedTwiceError)
            rows.skip(number, "names a key twice" if named_twice else "the line is not valid JSON")
            continue
        if not isinstance(cells, dict):
            rows.skip(number, "the line is not a JSON object")
            continue
        rows.rows.append((number, cells))
        columns.update(dict.fromkeys(cells))
    rows.columns = list(columns)
    return rows


class _NamedTwiceError(ValueError):
    """A JSON object names a key twice: which one is meant cannot be known."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    cells = {_text(name): cell for name, cell in pairs}
    if len(cells) != len(pairs):
        raise _NamedTwiceError
    return cells


def _mend(rows: Rows) -> None:
    """Replace what no encoder or file system takes (NUL, lone surrogates), and note every damaged cell."""
    for row, cells in rows.rows:
        for column, cell in cells.items():
            if not isinstance(cell, str):
                continue
            cells[column] = mended = _text(cell)
            if DAMAGED in mended:
                reason = "holds unreadable characters (not UTF-8 text)"
                rows.problems.append(Problem(row, column, reason, "noted"))


def _text(cell: str) -> str:
    if (forced := _FORCED_TEXT.fullmatch(cell)) is not None:
        cell = forced[1]
    return cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", DAMAGED)
