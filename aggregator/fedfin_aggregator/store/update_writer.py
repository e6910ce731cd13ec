"""Makes updates durable: their bytes in a file of their round, their rows in the journal, many with one flush.

On a connection of its own, so that a thread may wait for the disk while another one reads the journal. What is being
written is seen by nobody before it is durable.
"""

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from fedfin_aggregator.store.transaction import transaction
from fedfin_aggregator.store.update_files import UpdateFiles


@dataclass(frozen=True)
class UpdateRow:
    """One update's receipt and facts. `folded`: the round it counts in, a later one when it came late.

    `gave_second_moments`: whether it holds the site's second moments, and these count.
    """

    round: int
    site: str
    id: bytes
    accepted: bool
    reason: str
    size: int
    metrics: dict[str, float]
    folded: int
    gave_second_moments: bool = False


class Entry(NamedTuple):
    """An update to be written; one that was refused without its bytes."""

    row: UpdateRow
    payload: bytes | None


class UpdateWriter:
    """Of the journal at `path`. One thread at a time may write."""

    def __init__(self, path: Path, files: UpdateFiles) -> None:
        self._path, self._files = path, files
        self._opened: sqlite3.Connection | None = None

    def write(self, entries: Iterable[Entry]) -> None:
        """In one transaction. A site's refused update is replaced by its next one. Raises StateError.

        The bytes come first: while the disk takes them, nobody who writes to the journal has to wait.
        """
        placed = [(row, self._append(row, payload)) for row, payload in entries]
        self._files.flush()
        db = self._db()
        with transaction(db):
            db.executemany(
                "INSERT OR REPLACE INTO upd VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (_values(row, offset) for row, offset in placed),
            )

    def close(self) -> None:
        """Close the connection."""
        if self._opened is not None:
            self._opened.close()

    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._opened.execute("PRAGMA synchronous=FULL")
        return self._opened

    def _append(self, row: UpdateRow, payload: bytes | None) -> int | None:
        """Where its bytes begin in its round's file."""
        return None if payload is None else self._files.append(row.folded, payload)


def _values(row: UpdateRow, offset: int | None) -> tuple[object, ...]:
    """As the table has them."""
    return (
        row.round,
        row.site,
        row.id,
        row.accepted,
        row.reason,
        row.size,
        msgspec.json.encode(row.metrics).decode(),
        time.time(),
        offset,
        row.folded,
        row.gave_second_moments,
    )
