"""The journal's format, as a number in its file: an older one is taken over, any other refused in one line.

A change of the tables, or of what is in them, is a new format: add the statements that lead to it to `_STEPS`, and a
folder of the version before to tests/upgrades.
"""

import sqlite3
from pathlib import Path

from fedfin.errors import StateError
from fedfin.schema import check_schema

# Format n is made of n - 1 by _STEPS[n]. The first number says nothing but that there is one: 0 is a file without.
_DECLINED = "CREATE TABLE declined (site TEXT PRIMARY KEY, round INTEGER NOT NULL, cause TEXT NOT NULL)"
_OUTLIER = (
    "CREATE TABLE outlier (site TEXT PRIMARY KEY, round INTEGER NOT NULL, standing TEXT NOT NULL,"
    " evidence TEXT NOT NULL)"
)
_LIFE = "CREATE TABLE life (number INTEGER PRIMARY KEY, name TEXT NOT NULL, began REAL NOT NULL)"
_TENURE = "CREATE TABLE tenure (boot TEXT NOT NULL, place TEXT NOT NULL)"
_STEPS: dict[int, tuple[str, ...]] = {1: (), 2: (_DECLINED,), 3: (_OUTLIER,), 4: (_LIFE, _TENURE)}
FORMAT = max(_STEPS)


def stamp() -> str:
    """What writes the number into a new file."""
    return f"PRAGMA user_version = {FORMAT};"


def take_over(database: sqlite3.Connection, path: Path, schema: str) -> None:
    """Bring an older journal to this format, in one transaction.

    Raises StateError for another version's, sqlite3.DatabaseError when tables are missing that the number promises.
    """
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise StateError(
            f"{path}: a newer version of FedFIN wrote it (journal format {found}; this version reads up to"
            f" {FORMAT}); install the version that served it last, or restore a backup from before"
        )
    if found == FORMAT:
        check_schema(database, schema)
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for number in range(found + 1, FORMAT + 1):
            for statement in _STEPS[number]:
                database.execute(statement)
        check_schema(database, schema)
    except sqlite3.DatabaseError:
        database.execute("ROLLBACK")
        if found or not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise
        raise _before_numbers(path) from None
    database.execute(f"PRAGMA user_version = {FORMAT}")
    database.execute("COMMIT")


def _before_numbers(path: Path) -> StateError:
    return StateError(
        f"{path}: a version of FedFIN from before journals had format numbers wrote it, and no later one can read it;"
        " let the federation end with the program that began it, or set up another folder with"
        " `fedfin aggregator init`"
    )
