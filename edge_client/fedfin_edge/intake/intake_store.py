"""The intake's memory: which images, reports and labels are here, as keyed hashes, in one SQLite file.

    images(object)            what is kept of each image that counts
    reports(owner)            the newest version of each report, by accession number or else study
    labels(owner, label, source)
    released(kind, digest)    features that nothing refers to any more; they go from the feature store next
    counts(reason)            what was taken, and what was not, and why
    cursors(source)           how far a polled source has been read; "settings", "codes LABEL": what all were read by
    given(mark)               which version of which report a FHIR server's resource gave, for when it is deleted there
    seen(mark, owner)         what polled sources had, with each accession number or study that it told of; b"": of none
    forgotten(accession)      accession numbers, and studies of what names no other, that must not come back

Each batch is one transaction, durable before the spool drops what it was made of: a kill at any instant leaves
either both, and the batch is done again to the same effect, or the result alone.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from types import TracebackType

from fedfin.errors import StateError
from fedfin.files import make_private
from fedfin.schema import set_up
from fedfin_edge.cases.digests import Kept
from fedfin_edge.cases.scrub import scrub
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.records import FHIR, WITHDRAWN, ImageRecord, LabelRecord, Record, ReportRecord
from fedfin_edge.intake.what_counts import WhatCounts

STORE = "intake.sqlite"
FORMAT = 2  # 1: of what a source had, the first owner alone, or none
NOBODY = b""
_SETTINGS, _CODES = "settings", "codes "
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


class IntakeStore:
    """An open store; a context manager. Threads may share it."""

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

    def __enter__(self) -> "IntakeStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def record(
        self, images: Iterable[ImageRecord], reports: Iterable[ReportRecord], counts: Mapping[str, int]
    ) -> None:
        """Keep a batch, in one transaction; what it replaces is released. An older version changes nothing."""
        with self._transaction() as database:
            for image in images:
                if self._is_forgotten(image.owner):
                    _release(database, "image", image.digest)
                else:
                    self._keep_image(database, image)
            for report in reports:
                if self._is_forgotten(report.owner):
                    _release(database, "text", report.digest)
                else:
                    self._keep_report(database, report)
            _count(database, counts)

    def count(self, reason: str) -> None:
        """One more thing that was not taken, for this reason."""
        with self._transaction() as database:
            _count(database, {reason: 1})

    def counts(self) -> dict[str, int]:
        """How often each thing happened."""
        with self._transaction() as database:
            return dict(database.execute("SELECT reason, number FROM counts ORDER BY reason"))

    def images(self) -> list[ImageRecord]:
        """All that are kept."""
        with self._transaction() as database:
            return [ImageRecord(*row) for row in database.execute("SELECT * FROM images ORDER BY object")]

    def reports(self) -> list[ReportRecord]:
        """The newest version of each, withdrawn ones too."""
        with self._transaction() as database:
            return [ReportRecord(*row) for row in database.execute("SELECT * FROM reports ORDER BY owner")]

    def labels(self) -> list[LabelRecord]:
        """All that are known."""
        query = "SELECT owner, label, value, source, moment FROM labels ORDER BY owner, label, source"
        with self._transaction() as database:
            return [LabelRecord(*row) for row in database.execute(query)]

    def replace_labels(self, source: str, labels: Iterable[LabelRecord]) -> None:
        """A source's labels anew, all of them."""
        with self._transaction() as database:
            database.execute("DELETE FROM labels WHERE source = ?", (source,))
            _keep_labels(database, labels)

    def update_labels(self, labels: Iterable[LabelRecord]) -> None:
        """Keep these; an older version of a label changes nothing."""
        with self._transaction() as database:
            _keep_labels(database, labels)

    def remember(self, given: Iterable[tuple[bytes, ReportRecord]]) -> None:
        """These resources gave these versions of reports."""
        rows = [(mark, *astuple(record)[:5]) for mark, record in given]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO given VALUES (?, ?, ?, ?, ?, ?)", rows)

    def withdraw(self, mark: bytes) -> bool:
        """The resource was deleted: the version that it gave goes, also if it comes only now. False: it gave none.

        A later version, of another resource, stays.
        """
        query = "SELECT owner, study, accession, patient, moment FROM given WHERE mark = ?"
        with self._transaction() as database:
            row = database.execute(query, (mark,)).fetchone()
            if row is None:
                return False
            self._keep_report(database, ReportRecord(*(*row, WITHDRAWN, None)))
            database.execute("DELETE FROM given WHERE mark = ?", (mark,))
            _count(database, {"report: withdrawn": 1})
            return True

    def release(self, records: Iterable[Record]) -> None:
        """Nothing makes use of these features, unless something that is kept here does."""
        with self._transaction() as database:
            for record in records:
                _release(database, "image" if isinstance(record, ImageRecord) else "text", record.digest)

    def released(self) -> set[Kept]:
        """Of which nothing here makes use any more."""
        with self._transaction() as database:
            rows = database.execute("SELECT kind, digest FROM released")
            return {Kept(kind, digest) for kind, digest in rows if not _is_used(database, digest)}

    def drop_released(self, gone: Iterable[Kept]) -> None:
        """These are out of the feature store now."""
        with self._transaction() as database:
            database.executemany(
                "DELETE FROM released WHERE kind = ? AND digest = ?",
                [(each.kind, each.digest) for each in gone],
            )

    def cursor(self, source: str) -> str:
        """How far a source has been read; "" at first."""
        with self._transaction() as database:
            row = database.execute("SELECT position FROM cursors WHERE source = ?", (source,)).fetchone()
            return row[0] if row else ""

    def set_cursor(self, source: str, position: str) -> None:
        """All before this position is in the spool."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, position))

    def read_by(self, counts: WhatCounts) -> None:
        """Where polled sources were read by other settings, read them from the start.

        Labels of FHIR of which a code is none any more go: nothing else would replace them.
        """
        with self._transaction() as database:
            cursors = dict(database.execute("SELECT source, position FROM cursors"))
            if cursors.get(_SETTINGS) == counts.digest:
                return
            for label in _recoded(cursors, counts):
                database.execute("DELETE FROM labels WHERE label = ? AND source = ?", (label, FHIR))
            database.execute("DELETE FROM seen")
            database.execute("DELETE FROM cursors")
            codes = [(_CODES + label, "\n".join(sorted(each))) for label, each in counts.codes.items()]
            database.executemany("INSERT INTO cursors VALUES (?, ?)", [(_SETTINGS, counts.digest), *codes])

    def was_seen(self, mark: bytes) -> bool:
        """Whether what a source has was looked at before."""
        with self._transaction() as database:
            return database.execute("SELECT 1 FROM seen WHERE mark = ?", (mark,)).fetchone() is not None

    def mark_seen(self, mark: bytes, *owners: bytes | None) -> None:
        """What counts of it is in the spool. owners: the accession numbers and studies that it is about."""
        with self._transaction() as database:
            rows = [(mark, owner or NOBODY) for owner in owners or (NOBODY,)]
            database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)

    def forget(self, images: Iterable[bytes], owners: Iterable[bytes], *, bar: bool) -> None:
        """Take out these images, and what these accession numbers and studies own. `bar`: they do not come back."""
        with self._transaction() as database:
            for each in images:
                database.execute(
                    "INSERT OR IGNORE INTO released SELECT 'image', digest FROM images WHERE object = ?",
                    (each,),
                )
                database.execute("DELETE FROM images WHERE object = ?", (each,))
            for owner in owners:
                database.execute(
                    "INSERT OR IGNORE INTO released SELECT 'text', digest FROM reports"
                    " WHERE owner = ? AND digest IS NOT NULL",
                    (owner,),
                )
                database.execute("DELETE FROM reports WHERE owner = ?", (owner,))
                database.execute("DELETE FROM labels WHERE owner = ?", (owner,))
                # All of them, also where others are in it: it is looked at again.
                database.execute(
                    "DELETE FROM seen WHERE mark IN (SELECT mark FROM seen WHERE owner = ?)", (owner,)
                )
                database.execute("DELETE FROM given WHERE owner = ?", (owner,))
                if bar:
                    database.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (owner,))

    def scrub(self) -> None:
        """Let no page of the file or its log hold what was deleted."""
        with self._lock, self._explained():
            scrub(self._database)

    def _keep_image(self, database: sqlite3.Connection, image: ImageRecord) -> None:
        database.execute(
            "INSERT OR IGNORE INTO released SELECT 'image', digest FROM images WHERE object = ? AND digest != ?",
            (image.object, image.digest),
        )
        database.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(image))

    def _keep_report(self, database: sqlite3.Connection, report: ReportRecord) -> None:
        row = database.execute("SELECT * FROM reports WHERE owner = ?", (report.owner,)).fetchone()
        former = ReportRecord(*row) if row else None
        if former is not None and former.version >= report.version:
            old: ReportRecord | None = report
        else:
            database.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(report))
            old = former
        if old is not None:
            _release(database, "text", old.digest)

    def _is_forgotten(self, owner: bytes) -> bool:
        query = "SELECT 1 FROM forgotten WHERE accession = ?"
        return self._database.execute(query, (owner,)).fetchone() is not None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained(), self._database:
            yield self._database

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StateError(
                f"{self._path}: cannot use the intake's store ({error}); check disk space and permissions"
            ) from None
        except sqlite3.DatabaseError as error:
            raise StateError(
                f"{self._path}: is damaged ({type(error).__name__}); put it back from your backup, or move it away and"
                " have the archive send its studies again"
            ) from None


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


def _recoded(cursors: Mapping[str, str], counts: WhatCounts) -> list[str]:
    """Labels that had a code which they have no more."""
    former = {
        name.removeprefix(_CODES): set(position.split("\n"))
        for name, position in cursors.items()
        if name.startswith(_CODES)
    }
    return [label for label, codes in former.items() if codes - counts.codes.get(label, frozenset())]


def _release(database: sqlite3.Connection, kind: str, digest: bytes | None) -> None:
    if digest is not None:
        database.execute("INSERT OR IGNORE INTO released VALUES (?, ?)", (kind, digest))


def _is_used(database: sqlite3.Connection, digest: bytes) -> bool:
    query = "SELECT 1 FROM images WHERE digest = ? UNION ALL SELECT 1 FROM reports WHERE digest = ?"
    return database.execute(query, (digest, digest)).fetchone() is not None


def _keep_labels(database: sqlite3.Connection, labels: Iterable[LabelRecord]) -> None:
    database.executemany(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?) ON CONFLICT (owner, label, source) DO UPDATE"
        " SET value = excluded.value, moment = excluded.moment WHERE excluded.moment >= moment",
        map(astuple, labels),
    )
    database.execute("DELETE FROM labels WHERE owner IN (SELECT accession FROM forgotten)")


def _count(database: sqlite3.Connection, counts: Mapping[str, int]) -> None:
    database.executemany(
        "INSERT INTO counts VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET number = number + excluded.number",
        counts.items(),
    )
