"""The journal's part on model versions: what leads to each, and what of it the broker retains.

A model version is a snapshot, or the delta from the version before it, or both. Kept are the newest 32 snapshots and
the deltas since the oldest of them: with lossy presets down that is the whole history of a thousand rounds, with
`exact`, where every version is a snapshot, the newest 32 versions.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from fedfin import limits
from fedfin.errors import StateError
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.padding import most_sealed_bytes
from fedfin.protocol.rounds.events import Payload
from fedfin_aggregator.store.part_files import Key, PartFiles
from fedfin_aggregator.store.transaction import transaction

KEPT_SNAPSHOTS = 32
SCHEMA = """
CREATE TABLE version (version INTEGER PRIMARY KEY, id BLOB NOT NULL);
CREATE TABLE part (
    kind TEXT NOT NULL, version INTEGER NOT NULL, listed INTEGER NOT NULL, PRIMARY KEY (kind, version)
);
CREATE TABLE owed (body BLOB NOT NULL);
CREATE TABLE retained (
    kind TEXT NOT NULL, version INTEGER NOT NULL, chunks INTEGER NOT NULL, PRIMARY KEY (kind, version)
);
"""


@dataclass(frozen=True)
class Step:
    """A new version. `id`: of its GlobalModel payload, as a transfer has it; `parts`: what is new of what leads to it.

    `listed`: every part that is on offer from now on; `owed`: what compression left out, as an exact body, or empty.
    """

    version: int
    id: bytes
    parts: tuple[Payload, ...]
    listed: tuple[tuple[PartKind, int], ...]
    owed: bytes


class VersionRecords:
    """Tables in the journal's file, and the bytes of the parts in a folder beside it."""

    def __init__(self, db: sqlite3.Connection, folder: Path) -> None:
        self._db = db
        self._part_files = PartFiles(folder)
        self._parts: dict[Key, Payload] = {}  # those on offer, once they were asked for
        self.chunk_bytes = limits.CHUNK_BYTES  # of those in which parts are published, as far as is known

    def newest(self) -> int | None:
        """The newest model version, or None before the first round."""
        (version,) = self._db.execute("SELECT max(version) FROM version").fetchone()
        return None if version is None else int(version)

    def add(self, step: Step) -> None:
        """Within the caller's transaction."""
        self._db.execute("INSERT INTO version VALUES (?, ?)", (step.version, step.id))
        for part in step.parts:
            self._parts[part.kind, part.version] = part
            self._part_files.put((part.kind, part.version), part.data)
            self._db.execute("INSERT INTO part VALUES (?, ?, 1)", (part.kind, part.version))
            self._retain(part.kind, part.version, -(-most_sealed_bytes(len(part.data)) // self.chunk_bytes))
        self._db.execute("UPDATE part SET listed = 0 WHERE listed")
        self._db.executemany("UPDATE part SET listed = 1 WHERE kind = ? AND version = ?", step.listed)
        self._db.execute("DELETE FROM part WHERE version < ?", (self._oldest(),))
        self._db.execute("DELETE FROM owed")
        if step.owed:
            self._db.execute("INSERT INTO owed VALUES (?)", (step.owed,))

    def drop_forgotten(self) -> None:
        """Remove the bytes of parts that have no row any more; after the transaction that forgot them."""
        self._part_files.keep_only(self._db.execute("SELECT kind, version FROM part").fetchall())

    def _oldest(self) -> int:
        """The oldest snapshot that is kept."""
        row = self._db.execute(
            "SELECT version FROM part WHERE kind = 'snapshot' ORDER BY version DESC LIMIT 1 OFFSET ?",
            (KEPT_SNAPSHOTS - 1,),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def way_to(self, version: int) -> tuple[bytes, list[bytes]]:
        """The newest snapshot up to this version, and the deltas from there. StateError when it is not kept."""
        newest = self.newest()
        base = self._db.execute(
            "SELECT version FROM part WHERE kind = 'snapshot' AND version <= ? ORDER BY version DESC LIMIT 1",
            (version,),
        ).fetchone()
        if base is None or newest is None or version > newest:
            raise StateError(
                f"there is no model version {version}; the newest is {newest}, the oldest kept {self._oldest()}"
            )
        deltas = self._db.execute(
            "SELECT version FROM part WHERE kind = 'delta' AND version > ? AND version <= ? ORDER BY version",
            (base[0], version),
        )
        snapshot = self._part_files.read(("snapshot", base[0]))
        return snapshot, [self._part_files.read(("delta", delta)) for (delta,) in deltas]

    def model_id(self, version: int) -> bytes:
        """The id of a version's GlobalModel payload; empty when there is no such version."""
        row = self._db.execute("SELECT id FROM version WHERE version = ?", (version,)).fetchone()
        return b"" if row is None else bytes(row[0])

    def listed(self) -> tuple[Payload, ...]:
        """The parts on offer: the snapshot, then the deltas without a gap."""
        keys = self._db.execute(
            "SELECT kind, version FROM part WHERE listed ORDER BY kind = 'delta', version"
        ).fetchall()
        known, self._parts = self._parts, {}
        for kind, version in keys:
            key: Key = (kind, version)
            self._parts[key] = known.get(key) or Payload(kind, version, self._part_files.read(key))
        return tuple(self._parts.values())

    def owed(self) -> bytes:
        """What compression left out of the newest version; empty when nothing."""
        row = self._db.execute("SELECT body FROM owed").fetchone()
        return b"" if row is None else bytes(row[0])

    def retain(self, kind: PartKind, version: int, chunks: int) -> None:
        """A part is about to be published, in this many chunks. Once more in fewer: the most still count.

        Nothing is written where `add` has foreseen as many: that is one flush less while all sites wait.
        """
        if self.retained().get((kind, version), 0) < chunks:
            with transaction(self._db):
                self._retain(kind, version, chunks)

    def _retain(self, kind: PartKind, version: int, chunks: int) -> None:
        self._db.execute(
            "INSERT INTO retained VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET chunks = max(chunks, excluded.chunks)",
            (kind, version, chunks),
        )

    def retained(self) -> dict[tuple[PartKind, int], int]:
        """Parts that the broker may retain, with their number of chunks."""
        rows = self._db.execute("SELECT kind, version, chunks FROM retained")
        return {(kind, version): chunks for kind, version, chunks in rows}

    def cleared(self, kind: PartKind, version: int) -> None:
        """The broker has confirmed that it retains nothing of this part any more."""
        with transaction(self._db):
            self._db.execute("DELETE FROM retained WHERE kind = ? AND version = ?", (kind, version))
