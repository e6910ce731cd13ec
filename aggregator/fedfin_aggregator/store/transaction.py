"""A transaction that writes to the journal's file; a disk that takes nothing is the operator's affair, not a bug."""

import contextlib
import sqlite3
from collections.abc import Iterator

from fedfin.errors import StateError


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """What is written in this context is written as a whole. Raises StateError when the file cannot be written."""
    try:
        with db:
            db.execute("BEGIN IMMEDIATE")
            yield
    except sqlite3.OperationalError as error:
        raise StateError(
            f"{_path(db)}: cannot be written ({error}); check free space, and that no other program holds it"
        ) from None


def _path(db: sqlite3.Connection) -> str:
    _, _, path = db.execute("PRAGMA database_list").fetchone()
    return str(path)
