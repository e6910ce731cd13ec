"""Whether an SQLite file has the tables that it should have: a file may be damaged, or of another program."""

import contextlib
import sqlite3

_SHAPES = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"


def check_schema(database: sqlite3.Connection, script: str) -> None:
    """Raises sqlite3.DatabaseError when a table or index that `script` makes is not there, or is another one."""
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        model.executescript(script)
        wanted = dict(model.execute(_SHAPES))
    found = dict(database.execute(_SHAPES))
    for name, shape in wanted.items():
        if _plain(found.get(name)) != _plain(shape):
            raise sqlite3.DatabaseError(f"table or index {name} is missing or has other columns")


def _plain(shape: str | None) -> str:
    """Without the spaces of its script: a table may have been made in this version, or in taking an older file over."""
    return "".join((shape or "").split())
