"""The rounds of a shard: opened by the root, collected as an aggregator does, and ended by a sum."""

from fedfin.protocol.life import FIRST_LIFE
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.shards import Rewind
from fedfin.protocol.schedule import task_of
from fedfin.protocol.shards.events import RoundOpened
from fedfin.protocol.shards.shard import Shard
from fedfin_aggregator.fold.partial_sum import encode_sum
from fedfin_aggregator.rounds.rounds import Position, Rounds, sum_shapes
from fedfin_aggregator.store.shard_journal import ShardJournal


class ShardRounds(Rounds):
    """A shard holds what its sites give, as one aggregator does: no part of a round's room is set aside for each."""

    journal: ShardJournal

    def __init__(self, journal: ShardJournal, shard: Shard) -> None:
        self.shard = shard
        super().__init__(journal)

    @property
    def before(self) -> tuple[str, int]:
        """The run and round at hand; no run before the first round of any life."""
        if self.journal.rounds():
            return self.journal.run, self.position.round
        return ("" if self.journal.life == FIRST_LIFE else self.journal.run), 0

    def _begin(self) -> None:
        if self.journal.rounds():
            self._collect()

    def _position(self) -> Position:
        """The round at hand; its model is the root's affair."""
        row = self.journal.rounds()[-1]
        return Position(row.round, row.version, b"", finished=False)

    def join(self, run: str) -> None:
        """Become part of the root's run."""
        if self.journal.run != run:
            self.journal.adopt(run)

    def open(self, manifest: RoundManifest) -> RoundOpened:
        """Begin the root's round, or go on with it."""
        known = self.journal.rounds()
        if not known or known[-1].round != manifest.round:
            self.journal.begin(manifest)
        self._collect()
        sum_ = self.journal.sum(manifest.round)
        folded = self.journal.updates.counted(manifest.round)
        late = {row.site for row in folded if row.accepted and row.round != manifest.round}
        return RoundOpened(
            self.receipts,
            self.earlier_receipts,
            tuple(sorted(late)),
            sum_ or b"",
            settled=sum_ == b"",
        )

    def rewind(self, rewind: Rewind) -> None:
        """Go on in another life of the root's."""
        self.journal.rewind(rewind)

    def sum_up(self, round_: int) -> bytes:
        """The sum of the round's accepted updates, durable; without those of sites that were left out since."""
        if left_out := self._left_out(round_):
            self._collect(left_out)
        task = task_of(self.plan, round_)
        payload = encode_sum(
            self._fold,
            self._means,
            self.late,
            sum_shapes(self.plan, task),
            shard=self.shard.name,
            plan=self._plan_digest,
            round_=round_,
            task=task,
            base=self.position.version,
        )
        self.journal.put_sum(round_, payload, self.results(), left_out)
        return payload
