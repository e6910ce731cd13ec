"""The intake's memory on the disk: one SQLite file, its tables, and one transaction at a time.

    images(object)            what is kept of each image that counts
    reports(owner)            the newest version of each report, by accession number or else study
    labels(owner, label, source)
    released(kind, digest)    features that nothing refers to any more; they go from the feature store next
    counts(reason)            what was taken, and what was not, and why
    cursors(source)           how far a polled source has been read; "settings", "codes LABEL": what all were read by
    given(mark)               which version of which report a FHIR server's resource gave, for when it is deleted there
    seen(mark, owner)         what polled sources had, with each accession number or study that it told of; b"": of none
    forgotten(accession)      accession numbers, and studies of what names no other, that must not come back

Images, reports, owners and accession numbers stand there as keyed hashes (identity.py).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fedfin.errors import StateError
from fedfin.files import make_private
from fedfin.schema import explained, set_up
from fedfin_edge.cases.scrub import scrub
from fedfin_edge.intake.identity import Identity

STORE = "intake.sqlite"
FORMAT = 2  # 1: of what a source had, the first owner alone, or none
NOBODY = b""
_SEEN = """
CREATE TABLE IF NOT EXISTS seen (
    mark BLOB NOT NULL, owner BLOB NOT NULL, PRIMARY KEY (mark, owner)
) WITHOUT ROWID
"""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS identity (key_check BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    object BLOB PRIMARY KEY, study BLOB, accession BLOB, patient BLOB, modality TEXT NOT NULL,
    rule INTEGER NOT NULL, series INTEGER NOT NULL, instance INTEGER NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reports (
    owner BLOB PRIMARY KEY, study BLOB, accession BLOB, patient BLOB,
    moment INTEGER NOT NULL, rank INTEGER NOT NULL, digest BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS labels (
    owner BLOB NOT NULL, label TEXT NOT NULL, value REAL, source TEXT NOT NULL, moment INTEGER NOT NULL,
    PRIMARY KEY (owner, label, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS released (
    kind TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (kind, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (reason TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (source TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given (
    mark BLOB PRIMARY KEY, owner BLOB NOT NULL, study BLOB, accession BLOB, patient BLOB, moment INTEGER NOT NULL
) WITHOUT ROWID;
{_SEEN};
CREATE TABLE IF NOT EXISTS forgotten (accession BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_by_digest ON images (digest);
CREATE INDEX IF NOT EXISTS reports_by_digest ON reports (digest);
CREATE INDEX IF NOT EXISTS seen_by_owner ON seen (owner);
"""


class IntakeDatabase:
    """The open file. Threads may share it."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open or create. Raises StateError when the file is none of this format, or was made with another key."""
        self._path = path
        self._lock = threading.RLock()
        make_private(path)
        with self._explained():
            self._database = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
            self._open(identity)

    def _open(self, identity: Identity) -> None:
        _take_over(self._database)
        # FULL: a power cut must not undo what the spool has dropped.
        set_up(
            self._database,
            self._path,
            _SCHEMA,
            FORMAT,
            synchronous="FULL",
            remedy="update this version of FedFIN",
        )
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if not self._database.execute("SELECT 1 FROM identity").fetchone():
                self._database.execute("INSERT INTO identity VALUES (?)", (identity.check,))
        if self._database.execute("SELECT key_check FROM identity").fetchone()[0] != identity.check:
            raise StateError(
                f"{self._path}: was made with another intake.key; put the former key back from your backup"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it is durable at the end, or none. Raises StateError when the file cannot be used."""
        with self._lock, self._explained(), self._database:
            yield self._database

    def scrub(self) -> None:
        """Let no page of the file or its log hold what was deleted."""
        with self._lock, self._explained():
            scrub(self._database)

    def _explained(self) -> AbstractContextManager[None]:
        remedy = "put it back from your backup, or move it away and have the archive send its studies again"
        return explained(self._path, "the intake's store", remedy)


def _take_over(database: sqlite3.Connection) -> None:
    """Of a store of format 1, what sources had: its first form knew no owner."""
    database.execute("PRAGMA secure_delete = ON")
    with database:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] != 1:
            return
        former = database.execute("SELECT * FROM seen").fetchall()
        rows = [(mark, next(filter(None, owner), NOBODY)) for mark, *owner in former]
        database.execute("DROP TABLE seen")
        database.execute(_SEEN)
        database.executemany("INSERT INTO seen VALUES (?, ?)", rows)
        database.execute(f"PRAGMA user_version = {FORMAT}")
