"""The journal's part on updates: their rows and receipts, and of an open round's their bytes.

An update is there before its receipt goes out and is kept until its round closes, so that a restarted aggregator folds
it again and stands where it stood; then only the receipt's facts stay.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fedfin.protocol.messages.transfers import Receipt
from fedfin_aggregator.store.transaction import transaction
from fedfin_aggregator.store.update_files import UpdateFiles
from fedfin_aggregator.store.update_writer import Entry, UpdateRow, UpdateWriter

SCHEMA = """
CREATE TABLE upd (
    round INTEGER NOT NULL, site TEXT NOT NULL, id BLOB NOT NULL, accepted INTEGER NOT NULL, reason TEXT NOT NULL,
    bytes INTEGER NOT NULL, metrics TEXT NOT NULL, arrived REAL NOT NULL, payload INTEGER, folded INTEGER NOT NULL,
    gave_second_moments INTEGER NOT NULL,
    PRIMARY KEY (round, site)
);
CREATE INDEX upd_folded ON upd (folded);
"""


@dataclass(frozen=True)
class PartRow:
    """What one site gave in all: how many updates, accepted and refused, and why the last of those was refused."""

    accepted: int = 0
    refused: int = 0
    reason: str = ""


class UpdateRecords:
    """A table in the journal's file at `path`, and the bytes in files beside it."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._files = UpdateFiles(path.parent)
        self._writer = UpdateWriter(path, self._files)
        self._gathered: list[Entry] | None = None

    def close(self) -> None:
        """Close the writer's connection."""
        self._writer.close()

    def drop(self, folded: int) -> None:
        """What came in an open round is asked for anew."""
        with transaction(self._db):
            self._db.execute("DELETE FROM upd WHERE folded = ?", (folded,))

    @contextlib.contextmanager
    def gathered(self) -> Iterator[list[Entry]]:
        """Updates that are added in this context are not written: they are yielded, and `write` makes them durable."""
        entries: list[Entry] = []
        self._gathered = entries
        try:
            yield entries
        finally:
            self._gathered = None

    def add(self, row: UpdateRow, payload: bytes | None) -> None:
        """Make one update durable. A site's refused update is replaced by its next one."""
        entry = Entry(row, payload)
        if self._gathered is None:
            self.write([entry])
        else:
            self._gathered.append(entry)

    def write(self, entries: Iterable[Entry]) -> None:
        """Make updates durable together, with one flush; in whatever thread, but one at a time. Raises StateError."""
        self._writer.write(entries)

    def receipts(self, round_: int) -> dict[str, Receipt]:
        """The receipts given in one round, by site."""
        rows = self._db.execute("SELECT site, id, accepted, reason FROM upd WHERE round = ?", (round_,))
        return {site: Receipt(id=id_, accepted=bool(ok), reason=why) for site, id_, ok, why in rows}

    def earlier_receipts(self, round_: int) -> dict[str, Receipt]:
        """Each site's newest receipt of the rounds before this one."""
        rows = self._db.execute(
            # SQLite takes the bare columns from the row that holds the maximum.
            "SELECT site, id, accepted, reason, max(round) FROM upd WHERE round < ? GROUP BY site",
            (round_,),
        )
        return {site: Receipt(id=id_, accepted=bool(ok), reason=why) for site, id_, ok, why, _ in rows}

    def receipt(self, round_: int, site: str) -> Receipt | None:
        """The receipt of a site's update for this round, if there is one."""
        row = self._db.execute(
            "SELECT id, accepted, reason FROM upd WHERE round = ? AND site = ?", (round_, site)
        ).fetchone()
        return None if row is None else Receipt(id=row[0], accepted=bool(row[1]), reason=row[2])

    def parts(self) -> dict[str, PartRow]:
        """What each site gave, of those that gave anything; a sum's name, or a shard's, has a slash."""
        counts = self._db.execute(
            "SELECT site, sum(accepted), sum(NOT accepted) FROM upd WHERE site NOT LIKE '%/%' GROUP BY site"
        )
        reasons = {
            # SQLite takes the bare column from the row that holds the maximum.
            site: reason
            for site, reason, _ in self._db.execute(
                "SELECT site, reason, max(round) FROM upd WHERE NOT accepted GROUP BY site"
            )
        }
        return {site: PartRow(taken, not_, reasons.get(site, "")) for site, taken, not_ in counts}

    def counted(self, folded: int) -> list[UpdateRow]:
        """The updates that count in one round, or were refused in it, without their payloads."""
        rows = self._db.execute(
            "SELECT round, site, id, accepted, reason, bytes, metrics, folded, gave_second_moments FROM upd"
            " WHERE folded = ? ORDER BY round, site",
            (folded,),
        )
        return [
            UpdateRow(
                number, site, id_, bool(ok), reason, size, msgspec.json.decode(metrics), folded, bool(gave)
            )
            for number, site, id_, ok, reason, size, metrics, folded, gave in rows
        ]

    def gave_second_moments(self, *, before: int) -> dict[str, int]:
        """Sites whose second moments count, with the round before this one in which they last did."""
        rows = self._db.execute(
            "SELECT site, max(folded) FROM upd WHERE gave_second_moments AND folded < ? GROUP BY site",
            (before,),
        )
        return dict(rows)

    def payloads(self, folded: int) -> Iterator[tuple[int, str, bytes]]:
        """(its round, site, payload) of what counts in an open round, one at a time, so that memory stays flat.

        As they came: of two that a site gave in place of each other the first counts, before and after a restart.
        """
        rows = self._db.execute(
            "SELECT round, site, payload, bytes FROM upd WHERE folded = ? AND payload IS NOT NULL"
            " ORDER BY rowid",
            (folded,),
        )
        for round_, site, offset, size in rows:
            yield round_, site, self._files.read(folded, offset, size)

    def end_round(self, round_: int, left_out: Collection[str]) -> None:
        """Within a transaction: no bytes of it are needed any more. `left_out`: whose second moments were not taken."""
        self._db.execute("UPDATE upd SET payload = NULL WHERE folded = ?", (round_,))
        self._db.executemany(
            "UPDATE upd SET gave_second_moments = 0 WHERE folded = ? AND site = ?",
            [(round_, site) for site in left_out],
        )

    def drop_files(self) -> None:
        """Remove the bytes that no row needs any more."""
        open_ = self._db.execute("SELECT DISTINCT folded FROM upd WHERE payload IS NOT NULL")
        self._files.keep_only(round_ for (round_,) in open_)
