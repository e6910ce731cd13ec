"""Rows of named cells, whatever kind of file they come from; a row that does not fit is a problem, not an end."""

import re
from collections.abc import Callable
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


def read_header(path: Path, cells: list[Any]) -> list[str]:
    """The columns' names; "" for one without. Raises InputError when none has a name, or two the same."""
    # A line break inside a quoted name is one space: site.toml has to name it.
    columns = [" ".join(clean(str(name)).split()) for name in cells]
    if not any(columns):
        raise InputError(f"{path}: the table is empty; its first line must name the columns")
    if columns[0].startswith("#"):
        raise InputError(
            f"{path}: begins with a comment; remove the lines, or the sign, before the columns' names"
        )
    if any(DAMAGED in name for name in columns):
        raise InputError(f"{path}: the header holds unreadable characters; save the table as UTF-8")
    for place, name in enumerate(columns, start=1):
        if (
            name and name in columns[: place - 1]
        ):  # by their places: without a header names are a patient's cells
            places = f"{columns.index(name) + 1} and {place}"
            raise InputError(f"{path}: columns {places} have the same name; rename or remove one")
    return columns


def _fits(cells: list[Any], columns: list[str]) -> bool:
    """As many cells as columns; separators at the end of the row or of the header do not count."""
    named = max(number for number, name in enumerate(columns, start=1) if name)
    return len(cells) >= named and not any(str(cell).strip() for cell in cells[len(columns) :])


def clean(cell: str) -> str:
    """Without what no encoder or file system takes: NUL and lone surrogates become U+FFFD."""
    if (forced := _FORCED_TEXT.fullmatch(cell)) is not None:
        cell = forced[1]
    return cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", DAMAGED)
