"""What the aggregator must not lose: plan, lives, rounds, sites.

Updates and receipts are in update_records.py, model versions in version_records.py, sites that are unlike the others in
outlier_records.py. It is one SQLite file, and beside it what would make that slow: the bytes of versions
(part_files.py) and of an open round's updates (update_files.py).
synchronous=FULL: a receipt promises that the update survives a power cut.
"""

import contextlib
import secrets
import socket
import sqlite3
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from fedfin.declines import Cause
from fedfin.decoding import UNDECODABLE
from fedfin.errors import StateError
from fedfin.files import make_private
from fedfin.plan import Plan
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin_aggregator.store import (
    journal_access,
    journal_format,
    outlier_records,
    update_records,
    version_records,
)
from fedfin_aggregator.store.outlier_records import OutlierRecords
from fedfin_aggregator.store.transaction import transaction
from fedfin_aggregator.store.update_records import UpdateRecords
from fedfin_aggregator.store.version_records import Step, VersionRecords

_OWN_SCHEMA = """
CREATE TABLE plan (body BLOB NOT NULL, run TEXT NOT NULL);
CREATE TABLE role (name TEXT NOT NULL);
CREATE TABLE round (
    round INTEGER PRIMARY KEY, task TEXT NOT NULL, version INTEGER NOT NULL, opened REAL NOT NULL,
    closed REAL, results TEXT
);
CREATE TABLE site (site TEXT PRIMARY KEY, silent INTEGER NOT NULL);
CREATE TABLE declined (site TEXT PRIMARY KEY, round INTEGER NOT NULL, cause TEXT NOT NULL);
CREATE TABLE life (number INTEGER PRIMARY KEY, name TEXT NOT NULL, began REAL NOT NULL);
CREATE TABLE tenure (boot TEXT NOT NULL, place TEXT NOT NULL);
"""
SCHEMA = _OWN_SCHEMA + update_records.SCHEMA + version_records.SCHEMA + outlier_records.SCHEMA


@dataclass(frozen=True)
class RoundRow:
    """One round. `closed` is None while it is open; times are seconds since the epoch."""

    round: int
    task: str
    version: int
    opened: float
    closed: float | None
    results: dict[str, float]


class Journal:
    """The file and those beside it. Every method that writes is one transaction, or raises StateError."""

    def __init__(
        self, path: Path, *, create: Plan | None = None, run: str | None = None, read_only: bool = False
    ) -> None:
        """`create`: make it, for this plan and a new run, or `run`. `read_only`: write nothing, anywhere.

        Raises StateError.
        """
        if create is not None:
            _create(path, create, run or secrets.token_hex(8))
        elif not path.exists():
            raise StateError(
                f"{path.parent}: no aggregator here; run `fedfin aggregator init PLAN {path.parent}` first"
            )
        self.path, self.folder = path, path.parent
        self._db = journal_access.connect(path, read_only=read_only)
        try:
            if not read_only:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
            _check_pages(self._db)
            if read_only:
                self._db = journal_access.as_of_this_version(self._db)
            journal_format.take_over(self._db, path, SCHEMA)
            _ = self.plan, self.run, self.rounds()
        except (sqlite3.DatabaseError, *UNDECODABLE) as error:
            self._db.close()
            raise StateError(
                f"{path}: not an aggregator's journal, or damaged ({error});"
                " restore it from a backup, or set up another folder with `fedfin aggregator init`"
            ) from None
        self.updates = UpdateRecords(self._db, path)
        self.versions = VersionRecords(self._db, path.parent / "parts")
        self.outliers = OutlierRecords(self._db)

    def close(self) -> None:
        """Close the file."""
        self.updates.close()
        self._db.close()

    def claim(self, role: str) -> None:
        """What this folder serves as: the first time it is written down, from then on it must be the same.

        Raises StateError: a root, a shard and an aggregator keep different things under the same names.
        """
        known = self.role
        if not known:
            with transaction(self._db):
                self._db.execute("INSERT INTO role VALUES (?)", (role,))
        elif known != role:
            raise StateError(
                f"{self.folder} belongs to {known}, and cannot serve as {role}; set up a folder of its own with"
                " `fedfin aggregator init`"
            )

    @property
    def role(self) -> str:
        """What this folder serves as; empty before it has."""
        row = self._db.execute("SELECT name FROM role").fetchone()
        return "" if row is None else str(row[0])

    @property
    def plan(self) -> Plan:
        """The plan that this folder was set up with."""
        return msgspec.json.decode(self._planned("body"), type=Plan)

    @property
    def run(self) -> str:
        """Which run of the plan this is: drawn once, when the folder was set up."""
        return str(self._planned("run"))

    @property
    def place(self) -> str:
        """Where this very file lies: a copy of it lies elsewhere."""
        return f"{socket.gethostname()} {self.path.resolve()} {self.path.stat().st_ino}"

    def served(self, boot: str, place: str) -> str:
        """This start of an aggregator serves from here now; the boot before it in the same place, empty if none."""
        row = self._db.execute("SELECT boot FROM tenure WHERE place = ?", (place,)).fetchone()
        with transaction(self._db):
            self._db.execute("DELETE FROM tenure")
            self._db.execute("INSERT INTO tenure VALUES (?, ?)", (boot, place))
        return "" if row is None else str(row[0])

    @property
    def life(self) -> Life:
        """The newest life of the run."""
        row = self._db.execute("SELECT number, name FROM life ORDER BY number DESC LIMIT 1").fetchone()
        return FIRST_LIFE if row is None else Life(*row)

    def begin_life(self, life: Life) -> None:
        """The rounds go on in this one."""
        with transaction(self._db):
            self._add_life(life)

    def _add_life(self, life: Life) -> None:
        self._db.execute("INSERT INTO life VALUES (?, ?, ?)", (life.number, life.name, time.time()))

    def _planned(self, column: Literal["body", "run"]) -> Any:
        row = self._db.execute(f"SELECT {column} FROM plan").fetchone()  # noqa: S608 - one of two constants
        if row is None:
            raise sqlite3.DatabaseError("it holds no plan")
        return row[0]

    def open_round(self, round_: int, task: str, step: Step) -> None:
        """Start a round from a new version."""
        with transaction(self._db):
            self._open_round(round_, task, step)

    def _open_round(self, round_: int, task: str, step: Step) -> None:
        self.versions.add(step)
        self._db.execute(
            "INSERT INTO round VALUES (?, ?, ?, ?, NULL, NULL)", (round_, task, step.version, time.time())
        )

    def close_round(
        self,
        round_: int,
        results: dict[str, float],
        following: tuple[int, str, Step] | None,
        roster: Mapping[str, bool],
        left_out: Collection[str] = (),
    ) -> None:
        """Close a round and open the next (its number, task and new version) in the same transaction.

        `roster`: every known site, and whether it is silent. `left_out`: whose second moments were not taken.
        """
        with transaction(self._db):
            self._end_round(round_, results, left_out)
            self._db.execute("DELETE FROM site")
            self._db.executemany("INSERT INTO site VALUES (?, ?)", sorted(roster.items()))
            if following is not None:
                self._open_round(*following)

    def _end_round(self, round_: int, results: dict[str, float], left_out: Collection[str]) -> None:
        self._db.execute(
            "UPDATE round SET closed = ?, results = ? WHERE round = ?",
            (time.time(), msgspec.json.encode(results).decode(), round_),
        )
        self.updates.end_round(round_, left_out)

    def tidy(self) -> None:
        """Remove the bytes that no row needs any more: when a round has closed, or a crash left some.

        Not while anybody waits: 40 MB of updates take 9 ms.
        """
        self.updates.drop_files()
        self.versions.drop_forgotten()

    def rounds(self) -> list[RoundRow]:
        """All rounds, oldest first."""
        rows = self._db.execute(
            "SELECT round, task, version, opened, closed, results FROM round ORDER BY round"
        )
        return [
            RoundRow(
                number,
                task,
                version,
                opened,
                closed,
                msgspec.json.decode(results or "{}", type=dict[str, float]),
            )
            for number, task, version, opened, closed, results in rows
        ]

    def results(self, round_: int) -> dict[str, float]:
        """Of one round; empty while it is open."""
        return next((row.results for row in self.rounds() if row.round == round_), {})

    def version_of(self, round_: int) -> int | None:
        """The version that a round started from; None when there was no such round."""
        row = self._db.execute("SELECT version FROM round WHERE round = ?", (round_,)).fetchone()
        return None if row is None else int(row[0])

    def roster(self) -> dict[str, bool]:
        """Every site known when the last round closed, and whether it was silent."""
        return {site: bool(silent) for site, silent in self._db.execute("SELECT site, silent FROM site")}

    def decline(self, site: str, round_: int, cause: Cause) -> None:
        """A site takes no part, in the round that runs; its last word counts."""
        with transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO declined VALUES (?, ?, ?)", (site, round_, cause))

    def declined(self) -> dict[str, tuple[int, Cause]]:
        """Which sites took no part, from which round on, and why; not those that have come back."""
        rows = self._db.execute(
            "SELECT site, round, cause FROM declined AS word WHERE NOT EXISTS (SELECT 1 FROM upd"
            " WHERE upd.site = word.site AND upd.round > word.round AND upd.accepted) ORDER BY site"
        )
        return {site: (round_, cause) for site, round_, cause in rows}


def _check_pages(db: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError when the file is incomplete: 1 ms for the journal of a thousand rounds."""
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError("its pages are damaged")


def _create(path: Path, plan: Plan, run: str) -> None:
    """Make the file under another name first: an interrupted init leaves nothing that looks like a journal."""
    if path.exists():
        raise StateError(f"{path.parent}: there is an aggregator here already; choose another folder")
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    make_private(fresh)
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.executescript(SCHEMA + journal_format.stamp())
        db.execute("INSERT INTO plan VALUES (?, ?)", (msgspec.json.encode(plan), run))
    fresh.rename(path)
