"""A round's computation, away from the network: from the global model to an update that waits to be sent."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fedfin.codec import Tensors
from fedfin.model.answer_counts import suppressed
from fedfin.model.model_spec import Task, needs_second_moments
from fedfin.plan import Plan
from fedfin.protocol.site.effects import Work
from fedfin.secure_sums.summand import metric_names
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.outbox import Outbox, make_outbox
from fedfin_edge.agent.raw_deltas import keep_deltas
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task
from fedfin_edge.tasks.task_process import TaskProcess

Report = Callable[[str, dict[str, Any]], None]
CONTRADICTION = (
    "on this site's own training cases the federation's model is far worse than chance: see whether its labels are the"
    " other way round, or those of other cases"
)
_TOO_FEW: dict[Task, str] = {
    "moments": "fewer patients train here than policy.least_patients",
    "second_moments": "fewer patients train here than policy.least_patients",
    "calibrate": "fewer patients than policy.least_patients are kept for it, a tenth of those who train: a site of"
    " fewer than 125 or so calibrates nothing",
    "evaluate": "fewer patients than policy.least_patients are held out here: hold out more (cases.held_out)",
}
_REMEDY: dict[Task, str] = {
    "second_moments": "the kept features are damaged; run `fedfin edge encode` again",
    "train": "its training diverged; if it happens again, the plan needs a smaller `learning_rate`",
    "moments": "the kept features are damaged; run `fedfin edge encode` again",
    "calibrate": "the model diverged; the plan needs a smaller `learning_rate`",
    "evaluate": "the model diverged; the plan needs a smaller `learning_rate`",
}


def first_things_first(plan: Plan, work: Work, *, gave_second_moments: bool) -> Work:
    """A site that came after second moments were collected gives its own in place of its first training."""
    alone = not plan.privacy.summed  # a late one is no sum
    if alone and work.task == "train" and needs_second_moments(plan) and not gave_second_moments:
        return replace(work, task="second_moments")
    return work


def make_update(
    plan: Plan,
    work: Work,
    model: Tensors,
    dataset: Dataset,
    site: str,
    run: str,
    feedback: Feedback,
    *,
    report: Report,
    stop: Callable[[], bool],
    keep: Path | None = None,
    tasks: TaskProcess | None = None,
    secret: bytes = b"",
) -> Outbox:
    """The update of this round. Raises TaskStoppedError when `stop` said so.

    `report` is told how far it is, and of tensors that are not sent because they are not finite.
    `keep`: a folder for the raw deltas of training rounds. `tasks`: where the task runs; None: in this process.
    `secret`: as for run_task.
    """

    def progress(share: float) -> None:
        report("progress", {"round": work.round, "share": round(share, 3)})

    do = run_task if tasks is None else tasks.run_task
    result = do(
        plan, work.task, work.round, model, dataset, site, progress=progress, stop=stop, secret=secret
    )
    if result.contradicts is not None:
        report("labels", {"auc": round(result.contradicts, 3), "reason": CONTRADICTION})
    if lost := suppressed(plan, work.task, model):
        report("suppressed", {"round": work.round, "left_out": "; ".join(lost)})
    if not result.deltas and work.task in _TOO_FEW:
        report("nothing-given", {"round": work.round, "task": work.task, "reason": _TOO_FEW[work.task]})
    values = finite(result.deltas)
    if bad := sorted(result.deltas.keys() - values.keys()):
        report("diverged", {"round": work.round} | _diverged(bad, work.task))
    if keep is not None and work.task == "train":
        keep_deltas(keep, site, work.round, result.deltas)
    sent = metric_names(plan, work.task) if plan.privacy.summed else result.metrics.keys()
    metrics = {name: value for name, value in result.metrics.items() if name in sent and math.isfinite(value)}
    return make_outbox(plan, work, site, run, values, result.weights, metrics, feedback, model)


def finite(tensors: Tensors) -> Tensors:
    """Those without NaN or infinity: where training diverged, this round says nothing."""
    return {name: array for name, array in tensors.items() if bool(np.isfinite(array).all())}


def _diverged(names: list[str], task: Task) -> dict[str, Any]:
    """For the site's operator: what is left out, and what to do about it."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return {"tensor": names[0] + more, "reason": f"holds NaN or infinity and is not sent: {_REMEDY[task]}"}
