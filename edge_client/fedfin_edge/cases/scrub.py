"""Deleted content out of an SQLite file: its free pages, and its write-ahead log."""

import sqlite3


def scrub(database: sqlite3.Connection) -> None:
    """With `PRAGMA secure_delete = ON` from the beginning, nothing of it is left in the files.

    Raises sqlite3.OperationalError when another program holds on to the log.
    """
    database.execute("VACUUM")
    busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("another program is reading it: run this again when it is done")
