"""A round's computation, away from the network: from the global model to an update that waits to be sent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_client.dataset import Dataset
from edge_client.feedback import Feedback
from edge_client.kept_deltas import keep_deltas
from edge_client.outbox import Outbox, make_outbox
from edge_client.trainer import run_task
from fedfin.plan import Plan
from fedfin.protocol.codec import Tensors
from fedfin.protocol.site_life import Work


def make_update(
    plan: Plan,
    work: Work,
    model: Tensors,
    dataset: Dataset,
    site: str,
    feedback: Feedback,
    *,
    progress: Callable[[float], None],
    stop: Callable[[], bool],
    keep: Path | None = None,
) -> Outbox:
    """The update of this round. Raises TaskStoppedError when `stop` said so.

    `keep`: a folder for the raw deltas of training rounds.
    """
    result = run_task(plan, work.task, work.round, model, dataset, site, progress=progress, stop=stop)
    if keep is not None and work.task == "train":
        keep_deltas(keep, site, work.round, result.deltas)
    return make_outbox(plan, work, site, finite(result.deltas), result.weights, result.metrics, feedback)


def finite(tensors: Tensors) -> Tensors:
    """Those without NaN or infinity: where training diverged, this round says nothing."""
    return {name: array for name, array in tensors.items() if bool(np.isfinite(array).all())}
