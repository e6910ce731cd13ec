"""The feature store: what encoders made of inputs, kept in one SQLite file.

    features(encoder, input) -> vector    key: the encoder's digest and the input's, 32 bytes each;
                                          value: little-endian float32
    notes(encoder, input) -> notes        what was noted when such an input was read, a line each: only kinds,
                                          as `Prepared` has them; most inputs have none
    files(path) -> size, mtime, digest    so that a file is hashed again only when it has changed, or is read
                                          in another way; the path only as the SHA-256 of that way and the
                                          path: file names often are patient numbers

Each batch is one transaction in a write-ahead log: a process killed at any instant leaves the batches before.
The store is a cache: deleting it costs time, nothing else; of what the intake took, the archive would have to send
everything again. It holds no text, pixels, case ids or file names.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import StateError
from fedfin.files import make_private
from fedfin.schema import explained, set_up
from fedfin_edge.cases.digests import IMAGE_READING, Input, digest_input
from fedfin_edge.cases.scrub import scrub

FORMAT = 1
WAIT_S = 30.0  # for a second process; transactions take milliseconds
_REMEDY = "delete it and run `fedfin edge encode` again"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    encoder BLOB NOT NULL, input BLOB NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (encoder, input)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (
    encoder BLOB NOT NULL, input BLOB NOT NULL, notes TEXT NOT NULL, PRIMARY KEY (encoder, input)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Encoded:
    """One input's features, float32 [dim], and what was noted when it was read."""

    features: NDArray[np.float32]
    notes: tuple[str, ...] = ()


class FeatureStore:
    """An open feature store; a context manager."""

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        """Open or create. Raises StateError when the file is no store of this format.

        durable: what is added is on the disk at once, since its inputs are gone; else it can be made again.
        """
        self._path = path
        self._learned: list[tuple[bytes, int, int, bytes]] = []
        make_private(path)
        with self._explained():
            self._database = sqlite3.connect(path, timeout=WAIT_S)
            synchronous = "FULL" if durable else "NORMAL"
            set_up(self._database, path, _SCHEMA, FORMAT, synchronous=synchronous, remedy=_REMEDY)

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, encoder: str, made: Mapping[bytes, Encoded]) -> None:
        """Keep what was made by input digest, and the file digests learned since, in one transaction."""
        key = bytes.fromhex(encoder)
        rows = [(key, digest, each.features.astype("<f4").tobytes()) for digest, each in made.items()]
        notes = [(key, digest, "\n".join(each.notes)) for digest, each in made.items() if each.notes]
        with self._explained(), self._database:
            self._database.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", rows)
            self._database.executemany("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", notes)
            self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", self._learned)
        self._learned.clear()

    def remove(self, inputs: Iterable[bytes]) -> None:
        """Take out all features and notes of these input digests, whatever the encoder."""
        digests = list(inputs)
        with self._explained(), self._database:
            for table in ("features", "notes"):
                encoders = [row[0] for row in self._database.execute(f"SELECT DISTINCT encoder FROM {table}")]  # noqa: S608
                self._database.executemany(
                    f"DELETE FROM {table} WHERE encoder = ? AND input = ?",  # noqa: S608  two names, above
                    [(encoder, digest) for encoder in encoders for digest in digests],
                )

    def scrub(self) -> None:
        """Let no page of the file or its log hold what was removed."""
        with self._explained():
            scrub(self._database)

    def known(self, encoder: str, inputs: Iterable[bytes]) -> set[bytes]:
        """Those of the input digests that have features."""
        query = "SELECT 1 FROM features WHERE encoder = ? AND input = ?"
        key = bytes.fromhex(encoder)
        with self._explained():
            return {each for each in inputs if self._database.execute(query, (key, each)).fetchone()}

    def get(self, encoder: str, digest: bytes, dim: int) -> NDArray[np.float32] | None:
        """The features [dim] of one input, or None. Raises StateError when they are not that long."""
        query = "SELECT vector FROM features WHERE encoder = ? AND input = ?"
        with self._explained():
            row = self._database.execute(query, (bytes.fromhex(encoder), digest)).fetchone()
        if row is None:
            return None
        if not isinstance(row[0], bytes) or len(row[0]) != 4 * dim:
            raise StateError(f"{self._path}: is damaged; delete it and run `fedfin edge encode` again")
        return np.frombuffer(row[0], "<f4").astype(np.float32)

    def notes(self, encoder: str, digest: bytes) -> tuple[str, ...]:
        """What was noted of one input; nothing of one that was kept before notes were."""
        query = "SELECT notes FROM notes WHERE encoder = ? AND input = ?"
        with self._explained():
            row = self._database.execute(query, (bytes.fromhex(encoder), digest)).fetchone()
        return tuple(row[0].split("\n")) if row else ()

    def digest(self, value: Input) -> bytes:
        """The input's digest; a file that has not changed since it was last hashed is not read again.

        Raises OSError when the file cannot be read.
        """
        if not isinstance(value, Path):
            return digest_input(value)
        # Links are not followed: the path is only a key.
        key = IMAGE_READING + os.fsencode(os.path.abspath(value))  # noqa: PTH100
        path = hashlib.sha256(key).digest()
        status = value.stat()
        query = "SELECT digest FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
        with self._explained():
            row = self._database.execute(query, (path, status.st_size, status.st_mtime_ns)).fetchone()
        if row is not None and isinstance(row[0], bytes):
            return row[0]
        digest = digest_input(value)
        self._learned.append((path, status.st_size, status.st_mtime_ns, digest))
        return digest

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path, "the feature store", _REMEDY)
