"""The intake's memory: which images, reports and labels are here, as keyed hashes, in one SQLite file.

Each batch is one transaction, durable before the spool drops what it was made of: a kill at any instant leaves
either both, and the batch is done again to the same effect, or the result alone.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from types import TracebackType

from fedfin_edge.cases.digests import Kept
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.intake_database import IntakeDatabase
from fedfin_edge.intake.records import WITHDRAWN, ImageRecord, LabelRecord, Record, ReportRecord
from fedfin_edge.intake.source_progress import SourceProgress


class IntakeStore:
    """An open store; a context manager. Threads may share it. `progress`: how far each source has been read."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Open or create. Raises StateError when the file is none of this format, or was made with another key."""
        self._database = IntakeDatabase(path, identity)
        self.progress = SourceProgress(self._database)

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
        with self._database.transaction() as database:
            for image in images:
                if _is_forgotten(database, image.owner):
                    _release(database, "image", image.digest)
                else:
                    _keep_image(database, image)
            for report in reports:
                if _is_forgotten(database, report.owner):
                    _release(database, "text", report.digest)
                else:
                    _keep_report(database, report)
            _count(database, counts)

    def count(self, reason: str) -> None:
        """One more thing that was not taken, for this reason."""
        with self._database.transaction() as database:
            _count(database, {reason: 1})

    def counts(self) -> dict[str, int]:
        """How often each thing happened."""
        with self._database.transaction() as database:
            return dict(database.execute("SELECT reason, number FROM counts ORDER BY reason"))

    def images(self) -> list[ImageRecord]:
        """All that are kept."""
        with self._database.transaction() as database:
            return [ImageRecord(*row) for row in database.execute("SELECT * FROM images ORDER BY object")]

    def reports(self) -> list[ReportRecord]:
        """The newest version of each, withdrawn ones too."""
        with self._database.transaction() as database:
            return [ReportRecord(*row) for row in database.execute("SELECT * FROM reports ORDER BY owner")]

    def labels(self) -> list[LabelRecord]:
        """All that are known."""
        query = "SELECT owner, label, value, source, moment FROM labels ORDER BY owner, label, source"
        with self._database.transaction() as database:
            return [LabelRecord(*row) for row in database.execute(query)]

    def replace_labels(self, source: str, labels: Iterable[LabelRecord]) -> None:
        """A source's labels anew, all of them."""
        with self._database.transaction() as database:
            database.execute("DELETE FROM labels WHERE source = ?", (source,))
            _keep_labels(database, labels)

    def update_labels(self, labels: Iterable[LabelRecord]) -> None:
        """Keep these; an older version of a label changes nothing."""
        with self._database.transaction() as database:
            _keep_labels(database, labels)

    def remember(self, given: Iterable[tuple[bytes, ReportRecord]]) -> None:
        """These resources gave these versions of reports."""
        rows = [(mark, *astuple(record)[:5]) for mark, record in given]
        with self._database.transaction() as database:
            database.executemany("INSERT OR REPLACE INTO given VALUES (?, ?, ?, ?, ?, ?)", rows)

    def withdraw(self, mark: bytes) -> bool:
        """The resource was deleted: the version that it gave goes, also if it comes only now. False: it gave none.

        A later version, of another resource, stays.
        """
        query = "SELECT owner, study, accession, patient, moment FROM given WHERE mark = ?"
        with self._database.transaction() as database:
            row = database.execute(query, (mark,)).fetchone()
            if row is None:
                return False
            _keep_report(database, ReportRecord(*(*row, WITHDRAWN, None)))
            database.execute("DELETE FROM given WHERE mark = ?", (mark,))
            _count(database, {"report: withdrawn": 1})
            return True

    def has_image(self, known: bytes) -> bool:
        """Whether an image of this object (its hash) is kept."""
        query = "SELECT 1 FROM images WHERE object = ?"
        with self._database.transaction() as database:
            return database.execute(query, (known,)).fetchone() is not None

    def withdraw_images(self, objects: Iterable[bytes]) -> int:
        """Take these out, and count them; how many there were."""
        with self._database.transaction() as database:
            number = sum(_drop_image(database, each) for each in objects)
            _count(database, {"image: withdrawn": number} if number else {})
            return number

    def release(self, records: Iterable[Record]) -> None:
        """Nothing makes use of these features, unless something that is kept here does."""
        with self._database.transaction() as database:
            for record in records:
                _release(database, "image" if isinstance(record, ImageRecord) else "text", record.digest)

    def released(self) -> set[Kept]:
        """Of which nothing here makes use any more."""
        with self._database.transaction() as database:
            rows = database.execute("SELECT kind, digest FROM released")
            return {Kept(kind, digest) for kind, digest in rows if not _is_used(database, digest)}

    def drop_released(self, gone: Iterable[Kept]) -> None:
        """These are out of the feature store now."""
        with self._database.transaction() as database:
            database.executemany(
                "DELETE FROM released WHERE kind = ? AND digest = ?",
                [(each.kind, each.digest) for each in gone],
            )

    def forget(self, images: Iterable[bytes], owners: Iterable[bytes], *, bar: bool) -> None:
        """Take out these images, and what these accession numbers and studies own. `bar`: they do not come back."""
        with self._database.transaction() as database:
            for each in images:
                _drop_image(database, each)
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
        self._database.scrub()


def _drop_image(database: sqlite3.Connection, known: bytes) -> int:
    """1, or 0 where it is not here."""
    database.execute(
        "INSERT OR IGNORE INTO released SELECT 'image', digest FROM images WHERE object = ?", (known,)
    )
    return database.execute("DELETE FROM images WHERE object = ?", (known,)).rowcount


def _keep_image(database: sqlite3.Connection, image: ImageRecord) -> None:
    database.execute(
        "INSERT OR IGNORE INTO released SELECT 'image', digest FROM images WHERE object = ? AND digest != ?",
        (image.object, image.digest),
    )
    database.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(image))


def _keep_report(database: sqlite3.Connection, report: ReportRecord) -> None:
    row = database.execute("SELECT * FROM reports WHERE owner = ?", (report.owner,)).fetchone()
    former = ReportRecord(*row) if row else None
    if former is not None and former.version >= report.version:
        old: ReportRecord | None = report
    else:
        database.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(report))
        old = former
    if old is not None:
        _release(database, "text", old.digest)


def _is_forgotten(database: sqlite3.Connection, owner: bytes) -> bool:
    query = "SELECT 1 FROM forgotten WHERE accession = ?"
    return database.execute(query, (owner,)).fetchone() is not None


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
