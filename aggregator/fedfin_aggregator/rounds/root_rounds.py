"""The rounds of a root: what it judges and folds are its shards' sums."""

from collections.abc import Mapping
from fractions import Fraction

from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.protocol.life import Life
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.closed_form.groups import by_group, is_grouped
from fedfin_aggregator.fold.fold import FoldedMeans, Sum
from fedfin_aggregator.fold.partial_sum import decode_sum, max_bytes, metric_sums, unpack
from fedfin_aggregator.rounds.outlying_sites import Outlier
from fedfin_aggregator.rounds.rounds import Rounds, Taken, sum_shapes, tasks
from fedfin_aggregator.rounds.update_checks import check_cases, check_metrics, check_values


class RootRounds(Rounds):
    """As one aggregator's, but for what comes in; the same sums give the same bytes."""

    @property
    def max_update_bytes(self) -> int:
        """No honest sum of any task is larger."""
        return max(max_bytes(sum_shapes(self.plan, task)) for task in tasks(self.plan))

    def begin_life(self, life: Life) -> None:
        """Shards collect the open round anew. A root that dies in between is in the life before, without their sums."""
        if not self.position.finished:
            self.journal.updates.drop(self.position.round)
        super().begin_life(life)
        self._collect()

    def outliers(self, _round: int) -> list[Outlier]:
        """None: what comes in is of many sites."""
        return []

    def _take(self, round_: int, site: str, payload: bytes, _case_cap: int | None = None) -> Taken:
        sum_ = decode_sum(payload)
        task = task_of(self.plan, round_)
        expected = (site, self._plan_digest, round_, task, self.position.version)
        if (sum_.shard, sum_.plan, sum_.round, sum_.task, sum_.base) != expected:
            raise ProtocolError("the sum names another shard, plan, round, task or version than the root's")
        sums = unpack(sum_, sum_shapes(self.plan, task))
        metrics = metric_sums(sum_)
        grouped = _check(self.plan, task, sums, sum_.updates)
        check_metrics(metrics)
        self._fold.merge(sums)
        self._means.merge(sum_.updates, sum_.size, metrics)
        self.late += sum_.late
        return Taken({}, grouped)

    def _second_moments_of(
        self, round_: int, _site: str, payload: bytes, _factor: Fraction | None
    ) -> Mapping[str, Sum]:
        sums = unpack(decode_sum(payload), sum_shapes(self.plan, task_of(self.plan, round_)))
        return {name: part for name, part in sums.items() if is_grouped(name)}


def _check(plan: Plan, task: Task, sums: Mapping[str, Sum], updates: int) -> bool:
    """As its sites' updates are judged. Whether the sum holds second moments. Raises ProtocolError."""
    weights = {name: part.weight for name, part in sums.items()}
    check_cases(plan, weights, updates)
    groups = by_group({name: part for name, part in sums.items() if is_grouped(name)})
    for group in groups:
        of_group = {name: part.weight for name, part in group.items()}
        check_values(plan, "second_moments", FoldedMeans(group), of_group)
    if task != "second_moments":
        check_values(plan, task, FoldedMeans({n: s for n, s in sums.items() if not is_grouped(n)}), weights)
    return bool(groups)
