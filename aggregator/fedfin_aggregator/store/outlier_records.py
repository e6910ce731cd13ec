"""The journal's part on sites that are unlike the others, and on what the coordinator says of a site."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fedfin_aggregator.store.transaction import transaction

SCHEMA = """
CREATE TABLE outlier (site TEXT PRIMARY KEY, round INTEGER NOT NULL, standing TEXT NOT NULL, evidence TEXT NOT NULL);
"""
# What becomes of a site whose statistics are unlike the others' (rounds/outlying_sites.py).
Standing = Literal["left out", "asked", "named", "included"]


@dataclass(frozen=True)
class OutlierRow:
    """How a site stands that is unlike the others, since which round, and why; empty: the coordinator's word alone."""

    round: int
    standing: Standing
    evidence: str


class OutlierRecords:
    """A table in the journal's file. Every method that writes is one transaction, or raises StateError."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def judge(self, round_: int, outliers: Mapping[str, tuple[Standing, str]]) -> None:
        """Write down whose statistics of an open round are unlike the others', with standing and evidence.

        Who was asked about and is not among them is no question any more.
        """
        with transaction(self._db):
            self._db.execute("DELETE FROM outlier WHERE standing = 'asked'")
            for site, (standing, evidence) in outliers.items():
                self._put(site, OutlierRow(round_, standing, evidence))

    def decide(self, site: str, standing: Standing) -> None:
        """The coordinator's word on a site: from now on it stays so; before the first round, from that one on."""
        known = self.of(site)
        with transaction(self._db):
            (newest,) = self._db.execute("SELECT max(round) FROM round").fetchone()
            since, evidence = (newest or 1, "") if known is None else (known.round, known.evidence)
            self._put(site, OutlierRow(since, standing, evidence))

    def _put(self, site: str, row: OutlierRow) -> None:
        values = (site, row.round, row.standing, row.evidence)
        self._db.execute("INSERT OR REPLACE INTO outlier VALUES (?, ?, ?, ?)", values)

    def all(self) -> dict[str, OutlierRow]:
        """Sites that were named, or decided on, and how they stand."""
        rows = self._db.execute("SELECT site, round, standing, evidence FROM outlier ORDER BY site")
        return {site: OutlierRow(*row) for site, *row in rows}

    def of(self, site: str) -> OutlierRow | None:
        """One of them."""
        query = "SELECT round, standing, evidence FROM outlier WHERE site = ?"
        row = self._db.execute(query, (site,)).fetchone()
        return None if row is None else OutlierRow(*row)

    def with_standing(self, standing: Standing) -> frozenset[str]:
        """The sites of one standing."""
        return frozenset(site for site, row in self.all().items() if row.standing == standing)
