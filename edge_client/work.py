"""A round's computation, away from the network: from the kept global model to an update's bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_client.dataset import Dataset
from edge_client.kept_deltas import keep_deltas
from edge_client.trainer import TaskResult, run_task
from fedfin.model_spec import model_shapes, task_specs
from fedfin.plan import Plan
from fedfin.protocol.codec import Tensors, compress
from fedfin.protocol.payloads import decode_model, encode_update
from fedfin.protocol.schedule import preset_up
from fedfin.protocol.site_life import Work


def make_update(
    plan: Plan,
    work: Work,
    model: bytes,
    dataset: Dataset,
    site: str,
    *,
    progress: Callable[[float], None],
    stop: Callable[[], bool],
    keep: Path | None = None,
) -> bytes:
    """The update of this round. Raises TaskStoppedError when `stop` said so.

    `keep`: a folder for the raw deltas of training rounds.
    """
    version, tensors = decode_model(model, plan=plan.digest(), shapes=model_shapes(plan))
    assert version == work.version
    result: TaskResult = run_task(
        plan, work.task, work.round, tensors, dataset, site, progress=progress, stop=stop
    )
    if keep is not None and work.task == "train":
        keep_deltas(keep, site, work.round, result.deltas)
    values, shapes = finite(result.deltas), task_specs(plan, work.task)
    return encode_update(
        compress(values, shapes, preset_up(plan, work.round)).body,
        {name: result.weights[name] for name in values},
        shapes,
        site=site,
        plan=plan.digest(),
        round_=work.round,
        task=work.task,
        base=work.version,
        metrics=result.metrics,
    )


def finite(tensors: Tensors) -> Tensors:
    """Those without NaN or infinity: where training diverged, this round says nothing."""
    return {name: array for name, array in tensors.items() if bool(np.isfinite(array).all())}
