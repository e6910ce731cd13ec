"""What a shard must not lose: an aggregator's journal, in which a round ends with a sum that waits for the root."""

import time
from collections.abc import Collection
from pathlib import Path

from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.shards import Rewind
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.transaction import transaction

_SCHEMA = "CREATE TABLE IF NOT EXISTS sum (round INTEGER PRIMARY KEY, payload BLOB)"


class ShardJournal(Journal):
    """The file. Every method that writes is one transaction, or raises StateError."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute(_SCHEMA)

    def adopt(self, run: str) -> None:
        """Become part of the root's run; what belongs to another one is dropped."""
        with transaction(self._db):
            for table in ("upd", "round", "sum", "life"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant
            self._db.execute("UPDATE plan SET run = ?", (run,))
        self.tidy()  # a round of the same number must not go on in an old one's file

    def begin(self, manifest: RoundManifest) -> None:
        """Start a round that the root has opened."""
        row = (manifest.round, manifest.task, manifest.version, time.time())
        with transaction(self._db):
            self._db.execute("INSERT INTO round VALUES (?, ?, ?, ?, NULL, NULL)", row)

    def rewind(self, rewind: Rewind) -> None:
        """Go on in the root's new life, from its round: what it knows nothing of is dropped."""
        round_ = rewind.manifest.round
        first = round_ + 1 if rewind.keep and self.sum(round_) is None else round_
        with transaction(self._db):
            self._db.execute("DELETE FROM upd WHERE folded >= ?", (first,))
            self._db.execute("DELETE FROM round WHERE round >= ?", (first,))
            self._db.execute("DELETE FROM sum WHERE round >= ?", (first,))
            self._add_life(rewind.manifest.life)
        self.tidy()

    def put_sum(
        self, round_: int, payload: bytes, results: dict[str, float], left_out: Collection[str] = ()
    ) -> None:
        """Close the round and keep its sum; the updates in it are not needed any more, only their receipts.

        `left_out`: whose second moments are not in it.
        """
        with transaction(self._db):
            self._db.execute("INSERT INTO sum VALUES (?, ?)", (round_, payload))
            self._end_round(round_, results, left_out)

    def sum(self, round_: int) -> bytes | None:
        """The round's sum; empty when the root has it; None when there is none yet."""
        found = self._db.execute("SELECT payload FROM sum WHERE round = ?", (round_,)).fetchone()
        return None if found is None else bytes(found[0] or b"")

    @property
    def settled(self) -> int:
        """The newest round whose sum the root has; 0: none."""
        (newest,) = self._db.execute("SELECT max(round) FROM sum WHERE payload IS NULL").fetchone()
        return newest or 0

    def settle(self, round_: int) -> None:
        """The root has the sum."""
        with transaction(self._db):
            self._db.execute("UPDATE sum SET payload = NULL WHERE round = ?", (round_,))
