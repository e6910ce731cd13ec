"""The rounds of a root: what it judges and folds are its shards' sums."""

from fedfin.errors import ProtocolError
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.closed_form.groups import by_group, is_grouped
from fedfin_aggregator.closed_form.moment_checks import check
from fedfin_aggregator.fold.fold import FoldedMeans
from fedfin_aggregator.fold.partial_sum import decode_sum, max_bytes, metric_sums, unpack
from fedfin_aggregator.rounds.rounds import Rounds, Taken, sum_shapes, tasks


class RootRounds(Rounds):
    """As one aggregator's, but for what comes in; the same sums give the same bytes."""

    @property
    def max_update_bytes(self) -> int:
        """No honest sum of any task is larger."""
        return max(max_bytes(sum_shapes(self.plan, task)) for task in tasks(self.plan))

    def _take(self, round_: int, site: str, payload: bytes) -> Taken:
        sum_ = decode_sum(payload)
        task = task_of(self.plan, round_)
        expected = (site, self._plan_digest, round_, task, self.position.version)
        if (sum_.shard, sum_.plan, sum_.round, sum_.task, sum_.base) != expected:
            raise ProtocolError("the sum names another shard, plan, round, task or version than the root's")
        sums = unpack(sum_, sum_shapes(self.plan, task))
        if task == "evaluate" and any((part.total < 0).any() for part in sums.values()):
            raise ProtocolError("a score histogram holds a negative share")
        grouped = {name: part for name, part in sums.items() if is_grouped(name)}
        for group in by_group(grouped):
            check(self.plan, FoldedMeans(group), {name: part.weight for name, part in group.items()})
        self._fold.merge(sums)
        self._means.merge(sum_.updates, sum_.size, metric_sums(sum_))
        self.late += sum_.late
        return Taken({}, bool(grouped))
