"""CSV and JSON-lines files as rows of named cells; a row that does not parse is a problem, not an end.

Reads what hospitals' tools write: UTF-8, or UTF-16 with or without a byte-order mark; lines that end in LF,
CRLF or CR; separated by commas, semicolons, tabs or pipes. Nothing here knows what a column means.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedfin.errors import InputError
from fedfin_edge.cases.problem import Problem

# A report is a few thousand characters. A cell beyond this is a quote that was never closed, or not a report.
MAX_CELL = 1 << 20
DAMAGED = "\ufffd"
# The first bytes of files that are no text, whatever their names say, and how to make one of them.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or a zip archive; open it in Excel and save it as 'CSV UTF-8'",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; open it in Excel and save it as 'CSV UTF-8'",
    b"\x1f\x8b": "compressed by gzip; unpack it with gunzip",
    b"PAR1": "a Parquet file; convert it with pandas: read_parquet(...).to_csv(..., index=False)",
}


@dataclass
class Rows:
    """columns in file order; rows as (row number, cells by column)."""

    columns: list[str]
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def skip(self, row: int, reason: str) -> None:
        """Record a row that cannot be used."""
        self.problems.append(Problem(row, "", reason, "row skipped"))


def read_rows(path: Path) -> Rows:
    """Read a .csv, .tsv, .jsonl or .ndjson file.

    Raises InputError when the file is missing, empty, of another kind or encoding, or names a column twice.
    """
    if path.suffix.lower() in {".csv", ".tsv"}:
        rows = _read_csv(path)
    elif path.suffix.lower() in {".jsonl", ".ndjson"}:
        rows = _read_json_lines(path)
    else:
        raise InputError(f"{path}: a case table is a .csv or a .jsonl file; save it as one of these")
    if not rows.rows and not rows.problems:
        raise InputError(f"{path}: the table has no rows; add one row per case")
    _mend(rows)
    return rows


def _lines(path: Path) -> Iterator[str]:
    """Lines as text; what does not decode, and NUL, become U+FFFD, which `_mend` finds again."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read the case table ({error.strerror}); check the path") from None
    for start, kind in _NO_TEXT.items():
        if content.startswith(start):
            raise InputError(f"{path}: the case table is {kind}")
    text = content.decode(_encoding(content), errors="replace").replace("\0", DAMAGED)
    return _split(text.removeprefix("\ufeff"))


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


def _read_csv(path: Path) -> Rows:
    text = "".join(_lines(path)).lstrip("\r\n")
    if text.startswith(("{", "[")):
        raise InputError(f"{path}: the table is JSON; name it .jsonl, with one object per line")
    # Excel's first line: it names the separator, and is no row.
    marked = re.match(r"sep=(.)(?:\r\n|\r|\n)", text, re.IGNORECASE)
    text = text[marked.end() :] if marked else text
    separator = marked[1] if marked else _separator(text)
    previous = csv.field_size_limit(MAX_CELL)
    try:
        # Strict: a stray quote must be an error; otherwise it silently swallows the rows that follow.
        reader = csv.reader(_split(text), delimiter=separator, strict=True)
        columns = _read_header(path, reader)
        rows = Rows([name for name in columns if name])
        _take_records(reader, columns, rows)
    finally:
        csv.field_size_limit(previous)
    return rows


def _separator(text: str) -> str:
    """The one that is most often in the header, outside of its quotes."""
    header = re.split(r"[\r\n]", re.sub(r'"[^"]*"', "", text[:MAX_CELL]), maxsplit=1)[0]
    return max(",;\t|", key=header.count)


def _read_header(path: Path, reader: Any) -> list[str]:
    try:
        # A line break inside a quoted name is one space: site.toml has to name it.
        columns = [" ".join(name.split()) for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"{path}: the header cannot be read: {_explain(str(error), 1)}") from None
    _check_header(path, columns)
    return columns


def _check_header(path: Path, columns: list[str]) -> None:
    if not any(columns):
        raise InputError(f"{path}: the table is empty; its first line must name the columns")
    if any(DAMAGED in name for name in columns):
        raise InputError(f"{path}: the header holds unreadable characters; save the table as UTF-8")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} is there twice; rename or remove one")


def _take_records(reader: Any, columns: list[str], rows: Rows) -> None:
    row = 1
    while True:
        row += 1
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rows.skip(row, _explain(str(error), line))
            continue
        if not cells:
            continue  # an empty line
        if not _fits(cells, columns):
            rows.skip(row, f"has {len(cells)} fields where the header has {len(columns)}")
            continue
        rows.rows.append((row, {name: cell for name, cell in zip(columns, cells, strict=False) if name}))


def _fits(cells: list[str], columns: list[str]) -> bool:
    """As many cells as columns; separators at the end of the row or of the header do not count."""
    named = max(number for number, name in enumerate(columns, start=1) if name)
    return len(cells) >= named and not any(cell.strip() for cell in cells[len(columns) :])


def _explain(message: str, line: int) -> str:
    """What csv's message means; it quotes no content, but is written for programmers."""
    if "field larger" in message:
        return f"a cell from line {line} on is longer than {MAX_CELL:,} characters: is a quote not closed?"
    if "unexpected end" in message:
        return f"a quote opened from line {line} on is never closed; all that follows it is lost"
    return f"not valid CSV from line {line} on: a quote inside a quoted cell must be doubled"


def _read_json_lines(path: Path) -> Rows:
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
    return cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", DAMAGED)
