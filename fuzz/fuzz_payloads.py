"""Updates, global models, deltas and shards' partial sums."""

import contextlib

from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol.payloads import GlobalDelta, GlobalModel, Update, decode_payload, open_update
from fedfin_aggregator.fold.partial_sum import decode_sum, metric_sums, unpack
from fuzz.scratch import REFUSED

PLAN = Plan(
    federation="ward",
    labels=("x", "y"),
    modalities=(
        Modality(name="image", encoder="a" * 64, dim=3),
        Modality(name="text", encoder="b" * 64, dim=2),
    ),
    model=Model(basis_total=12, head_width=0),
)


def fuzz(data: bytes) -> None:
    """An update is opened as the task that it names."""
    with contextlib.suppress(REFUSED):
        decode_payload(data, GlobalModel)
    with contextlib.suppress(REFUSED):
        decode_payload(data, GlobalDelta)
    with contextlib.suppress(REFUSED):
        update = decode_payload(data, Update)
        open_update(update, task_specs(PLAN, update.task))
    with contextlib.suppress(REFUSED):
        partial = decode_sum(data)
        metric_sums(partial)
        unpack(partial, task_specs(PLAN, "train"))
