"""SQLite files that have the tables that they should have: a file may be damaged, or of another program."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from fedfin.errors import StateError

_SHAPES = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"


def set_up(
    database: sqlite3.Connection, path: Path, script: str, version: int, *, synchronous: str, remedy: str
) -> None:
    """Make or check the tables of a store of patients' features or hashes: what it deletes is overwritten.

    Raises StateError, with `remedy`, for a file of another version; sqlite3.DatabaseError as `check_schema`.
    """
    found = database.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, version):
        raise StateError(f"{path}: made by another version of FedFIN (format {found}); {remedy}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute("PRAGMA secure_delete = ON")
    database.executescript(f"{script}PRAGMA user_version = {version};")
    check_schema(database, script)


@contextlib.contextmanager
def explained(path: Path, store: str, remedy: str) -> Iterator[None]:
    """Raises StateError for what SQLite says against a store in here; with `remedy` where the file is damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StateError(f"{path}: cannot use {store} ({error}); check disk space and permissions") from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # SQLite quotes damaged names
        raise StateError(f"{path}: is damaged ({type(error).__name__}); {remedy}") from None


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
