"""CSV and JSON-lines files as rows of named cells; a row that does not parse is a problem, not an end.

Reads what hospitals' tools write: UTF-8 with or without a byte-order mark, separated by commas, semicolons
or tabs. Nothing here knows what a column means.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedfin.errors import InputError
from fedfin_edge.cases.problem import Problem

# A report is a few thousand characters. A cell beyond this is a quote that was never closed, or not a report.
MAX_CELL = 1 << 20
DAMAGED = "\ufffd"


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
    """Lines as text; bytes that are not UTF-8, and NUL, become U+FFFD, which `_mend` finds again."""
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                if number == 0 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise InputError(f"{path}: the table is UTF-16; save it as UTF-8 (Excel: 'CSV UTF-8')")
                encoding = "utf-8-sig" if number == 0 else "utf-8"
                yield line.decode(encoding, errors="replace").replace("\0", DAMAGED)
    except OSError as error:
        raise InputError(f"{path}: cannot read the case table ({error.strerror}); check the path") from None


def _read_csv(path: Path) -> Rows:
    lines = _lines(path)
    header = next(lines, "")
    separator = max(",;\t", key=header.count)
    columns = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    _check_header(path, columns)
    rows = Rows([name for name in columns if name])
    previous = csv.field_size_limit(MAX_CELL)
    try:
        # Strict: a stray quote must be an error; otherwise it silently swallows the rows that follow.
        _take_records(csv.reader(lines, delimiter=separator, strict=True), columns, rows)
    finally:
        csv.field_size_limit(previous)
    return rows


def _check_header(path: Path, columns: list[str]) -> None:
    if not any(columns):
        raise InputError(f"{path}: the table is empty; its first line must name the columns")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} is there twice; rename or remove one")


def _take_records(reader: Any, columns: list[str], rows: Rows) -> None:
    row = 1
    while True:
        row += 1
        line = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rows.skip(row, _explain(str(error), line))
            continue
        if not cells:
            continue  # an empty line
        if len(cells) != len(columns):
            rows.skip(row, f"has {len(cells)} fields where the header has {len(columns)}")
            continue
        rows.rows.append((row, {name: cell for name, cell in zip(columns, cells, strict=True) if name}))


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
