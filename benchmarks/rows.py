"""Results of a study as JSON lines: appended when a run is done, read again after any crash."""

import json
from pathlib import Path
from typing import Any

from fedfin.errors import InputError

Row = dict[str, Any]


def append_row(out: Path, row: Row) -> None:
    """Add a line, after cutting off what a crash may have left of the last one."""
    with out.open("a+b") as file:
        end = _end_of_whole_lines(file.seek(0, 2), file)
        file.truncate(end)
        file.write(json.dumps(row).encode() + b"\n")


def read_rows(path: Path, command: str) -> list[Row]:
    """The rows of a file; a last line that a crash cut off is left out.

    Raises InputError for a file that cannot be read or that `command` did not write.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read it ({error})") from None
    whole, _, _ = text.rpartition("\n")
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
    except ValueError:
        rows = [None]
    if not all(isinstance(row, dict) and "key" in row for row in rows):
        raise InputError(f"{path}: is not a file of `{command}`")
    return rows


def _end_of_whole_lines(size: int, file: Any) -> int:
    """Where the last whole line ends, searched from the end, block by block."""
    block = 1 << 16
    at = size
    while at:
        begin = max(0, at - block)
        file.seek(begin)
        found = file.read(at - begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        at = begin
    return 0
