"""How far each source has been read: positions in those that have an order, and marks of what was looked at."""

from collections.abc import Mapping

from fedfin_edge.intake.intake_database import NOBODY, IntakeDatabase
from fedfin_edge.intake.records import FHIR
from fedfin_edge.intake.what_counts import WhatCounts

_SETTINGS, _CODES = "settings", "codes "


class SourceProgress:
    """Of all sources of one intake."""

    def __init__(self, database: IntakeDatabase) -> None:
        self._database = database

    def cursor(self, source: str) -> str:
        """How far a source has been read; "" at first."""
        with self._database.transaction() as database:
            row = database.execute("SELECT position FROM cursors WHERE source = ?", (source,)).fetchone()
            return row[0] if row else ""

    def set_cursor(self, source: str, position: str) -> None:
        """All before this position is in the spool."""
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, position))

    def read_by(self, counts: WhatCounts) -> None:
        """Where polled sources were read by other settings, read them from the start.

        Labels of FHIR of which a code is none any more go: nothing else would replace them.
        """
        with self._database.transaction() as database:
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
        with self._database.transaction() as database:
            return database.execute("SELECT 1 FROM seen WHERE mark = ?", (mark,)).fetchone() is not None

    def mark_seen(self, mark: bytes, *owners: bytes | None) -> None:
        """What counts of it is in the spool. owners: the accession numbers and studies that it is about."""
        with self._database.transaction() as database:
            rows = [(mark, owner or NOBODY) for owner in owners or (NOBODY,)]
            database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)


def _recoded(cursors: Mapping[str, str], counts: WhatCounts) -> list[str]:
    """Labels that had a code which they have no more."""
    former = {
        name.removeprefix(_CODES): set(position.split("\n"))
        for name, position in cursors.items()
        if name.startswith(_CODES)
    }
    return [label for label, codes in former.items() if codes - counts.codes.get(label, frozenset())]
