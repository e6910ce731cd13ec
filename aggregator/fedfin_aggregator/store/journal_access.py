"""Whether the journal's file may be read, or written; SQLite says of both only that it cannot open the file."""

import contextlib
import errno
import os
import sqlite3
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import no_access, open_private
from fedfin_aggregator.store.journal_format import FORMAT


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """The file, not yet looked into. `read_only`: nothing in its folder is changed. Raises StateError."""
    try:
        open_private(path, "rb" if read_only else "r+b").close()
        if not read_only and not _may_write(path.parent):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path.parent)
    except OSError as error:
        raise StateError(no_access(error)) from None
    if not read_only:
        return sqlite3.connect(path, isolation_level=None)
    return sqlite3.connect(f"{path.resolve().as_uri()}?{_way_to_read(path)}", uri=True, isolation_level=None)


def _way_to_read(path: Path) -> str:
    """SQLite's parameters. Without anything in its file `-wal` the journal is whole by itself: none need be made then.

    Raises StateError when there is something, and no index of it.
    """
    wal, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    if not wal.exists() or not wal.stat().st_size:
        return "mode=ro&immutable=1"
    if not index.exists() and not _may_write(path.parent):
        raise StateError(
            f"{wal}: a part of the journal is there, and cannot be read without write access to its folder; copy the"
            " folder to where you may write, and look at the copy"
        )
    return "mode=ro"


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK, effective_ids=True)


def as_of_this_version(db: sqlite3.Connection) -> sqlite3.Connection:
    """An older journal is copied into memory, where it may be brought to this version's format."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found >= FORMAT:
        return db
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with contextlib.closing(db):
        db.backup(copy)
    return copy
