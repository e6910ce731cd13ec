"""What a shard must not lose: an aggregator's journal, in which a round ends with a sum that waits for the root."""

import time
from pathlib import Path

import msgspec

from fedfin.protocol.messages import Rewind, RoundManifest
from fedfin_aggregator.store.journal import Journal

_SCHEMA = "CREATE TABLE IF NOT EXISTS sum (round INTEGER PRIMARY KEY, payload BLOB)"


class ShardJournal(Journal):
    """The file. Every method that writes is one transaction."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute(_SCHEMA)

    def adopt(self, run: str) -> None:
        """Become part of the root's run; what belongs to another one is dropped."""
        with self._db:
            self._db.execute("BEGIN")
            for table in ("upd", "round", "sum", "life"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant
            self._db.execute("UPDATE plan SET run = ?", (run,))
        self.tidy()  # a round of the same number must not go on in an old one's file

    def begin(self, manifest: RoundManifest) -> None:
        """Start a round that the root has opened."""
        self._db.execute(
            "INSERT INTO round VALUES (?, ?, ?, ?, NULL, NULL)",
            (manifest.round, manifest.task, manifest.version, time.time()),
        )

    def rewind(self, rewind: Rewind) -> None:
        """Go on in the root's new life, from its round: what it knows nothing of is dropped."""
        round_ = rewind.manifest.round
        first = round_ + 1 if rewind.keep and self.sum(round_) is None else round_
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM upd WHERE folded >= ?", (first,))
            self._db.execute("DELETE FROM round WHERE round >= ?", (first,))
            self._db.execute("DELETE FROM sum WHERE round >= ?", (first,))
            self.begin_life(rewind.manifest.life)
        self.tidy()

    def put_sum(self, round_: int, payload: bytes, results: dict[str, float]) -> None:
        """Close the round and keep its sum; the updates in it are not needed any more, only their receipts."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("INSERT INTO sum VALUES (?, ?)", (round_, payload))
            self._db.execute(
                "UPDATE round SET closed = ?, results = ? WHERE round = ?",
                (time.time(), msgspec.json.encode(results).decode(), round_),
            )
            self._db.execute("UPDATE upd SET payload = NULL WHERE folded = ?", (round_,))

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
        self._db.execute("UPDATE sum SET payload = NULL WHERE round = ?", (round_,))
