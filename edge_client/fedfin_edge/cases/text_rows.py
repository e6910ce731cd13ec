"""CSV and JSON lines as rows.

CSV in UTF-8, or UTF-16 with or without a byte-order mark; lines that end in LF, CRLF or CR; separated by commas,
semicolons, tabs or pipes.
"""

import csv
import io
import itertools
import json
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedfin.errors import InputError
from fedfin.files import read_at_most
from fedfin_edge.cases.rows import DAMAGED, MAX_CELL, READING, SOME_ROWS, Progress, Rows, clean, read_header

# Text takes about four times its size while it is read. 500,000 reports of 2,000 characters have a GB: split them.
MAX_TABLE = 512 << 20
MAX_LINE = 16 * MAX_CELL  # of JSON lines: as Python objects it takes up to 30 times as much


def read_bytes(path: Path, size: int = -1) -> bytes:
    """The first `size` bytes, or all. Raises InputError."""
    try:
        if size >= 0:
            with path.open("rb") as stream:
                return stream.read(size)
        return read_at_most(path, MAX_TABLE)
    except OSError as error:
        raise InputError(f"{path}: cannot read the case table ({error.strerror}); check the path") from None


def _lines(path: Path) -> Iterator[str]:
    """Lines as text; what does not decode, and NUL, become U+FFFD, which `_mend` finds again."""
    content = read_bytes(path)
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


def read_csv(path: Path, progress: Progress) -> Rows:
    """Read CSV, whatever separates its cells. Raises InputError for JSON, and as `read_header`."""
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


def _explain(message: str, line: int) -> str:
    """What csv's message means; it quotes no content, but is written for programmers."""
    if "field larger" in message:
        return f"a cell from line {line} on is longer than {MAX_CELL:,} characters: is a quote not closed?"
    if "unexpected end" in message:
        return f"a quote opened from line {line} on is never closed; all that follows it is lost"
    return f"not valid CSV from line {line} on: a quote inside a quoted cell must be doubled, not marked by a backslash"


def read_json_lines(path: Path, _: Progress) -> Rows:
    """Read one JSON object a line; the columns are all that any of them names."""
    rows = Rows([])
    columns: dict[str, None] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE:
            rows.skip(number, f"the line is longer than {MAX_LINE:,} characters")
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
        rows.rows.append((number, {name: _packed(cell) for name, cell in cells.items()}))
        columns.update(dict.fromkeys(cells))
    rows.columns = list(columns)
    return rows


def _packed(cell: Any) -> Any:
    """A list of numbers as an array: as Python's objects it takes four times as much, which never all comes back."""
    if not isinstance(cell, list):
        return cell
    try:
        return array("d", cell)
    except (TypeError, OverflowError):  # texts, lists, or a number beyond any float
        return cell


class _NamedTwiceError(ValueError):
    """A JSON object names a key twice: which one is meant cannot be known."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    cells = {clean(name): cell for name, cell in pairs}
    if len(cells) != len(pairs):
        raise _NamedTwiceError
    return cells
