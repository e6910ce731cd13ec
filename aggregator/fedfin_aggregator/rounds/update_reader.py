"""An update as it was sent: of which round and version it says it is, and whether no cases of its site can give it."""

from dataclasses import dataclass
from functools import cache, partial

from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task, needs_second_moments, task_specs
from fedfin.plan import Plan
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.rounds.update_checks import check_cases, check_metrics, check_values
from fedfin_aggregator.store.journal import Journal


@dataclass(frozen=True)
class CheckedUpdate:
    """What one site gave: means by tensor, and of how many cases each is."""

    task: Task
    metrics: dict[str, float]
    values: Tensors
    weights: dict[str, int]


class UpdateReader:
    """Of one federation's sites, on top of its journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._plan = journal, journal.plan
        self._digest = self._plan.digest()
        self._specs = cache(partial(task_specs, self._plan))

    def read(self, round_: int, site: str, payload: bytes, case_cap: int | None = None) -> CheckedUpdate:
        """`case_cap`: more cases the site may not claim, whatever the plan allows. Raises ProtocolError."""
        update = decode_payload(payload, Update)
        task = _task(self._plan, round_, update.task)
        expected = (site, self._digest, self._journal.run, round_, task)
        if (update.site, update.plan, update.run, update.round, update.task) != expected:
            raise ProtocolError(
                "the update names another site, plan, run, round or task than it was sent for"
            )
        if update.base != (version := self._journal.version_of(round_)):
            raise ProtocolError(f"the update starts from version {update.base}, the round from {version}")
        values, weights = open_update(update, self._specs(task))
        if case_cap is not None and (most := max(weights.values(), default=0)) > case_cap:
            raise ProtocolError(f"it claims {most} cases; the charter grants this site {case_cap}")
        check_cases(self._plan, weights)
        check_metrics(update.metrics)
        check_values(self._plan, task, values, weights)
        return CheckedUpdate(task, update.metrics, values, weights)


def _task(plan: Plan, round_: int, named: Task) -> Task:
    """What a round's update is for. A site that came late gives its second moments before it trains."""
    task = task_of(plan, round_)
    instead = task == "train" and named == "second_moments" and needs_second_moments(plan)
    return "second_moments" if instead else task
