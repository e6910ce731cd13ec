"""An update on its way out: its bytes, and what becomes of error feedback when the receipt comes."""

from collections.abc import Mapping
from functools import cached_property

import msgspec

from fedfin.codec import Tensors, compress
from fedfin.model.model_spec import MAGNITUDES, Task, task_specs
from fedfin.plan import Plan
from fedfin.protocol import transfer
from fedfin.protocol.payloads import Update, decode_payload, encode_update
from fedfin.protocol.schedule import levels_up, preset_up
from fedfin.protocol.site.effects import Work
from fedfin.secure_sums.quantizer import Quantizer
from fedfin_edge.agent.error_feedback import Feedback, Packed, pack, pack_steps


class Outbox(msgspec.Struct, frozen=True, dict=True):
    """`payload`: the Update; `seal`: what it is sealed with on its way (fedfin/trust/channel.py).

    `model`: the id of the version that it was made from.

    `owed` when it counts, `lost` when it does not: see fedfin_edge/agent/error_feedback.py.

    `lost` None: it is the update's own body, which need not be written twice.
    """

    round: int
    task: Task
    payload: bytes
    owed: bytes
    lost: bytes | None
    seal: bytes = b""
    model: bytes = b""

    @cached_property
    def leaves(self) -> bytes:
        """Of the payload (transfer.py): 3 ms for 5 MB, and asked for twice."""
        return transfer.leaves(memoryview(self.payload))

    def lost_body(self) -> bytes:
        """What was lost if the update does not count."""
        return decode_payload(self.payload, Update).body if self.lost is None else self.lost


def make_outbox(
    plan: Plan,
    work: Work,
    site: str,
    run: str,
    values: Tensors,
    weights: Mapping[str, int],
    metrics: Mapping[str, float],
    feedback: Feedback,
    model: Tensors,
) -> Outbox:
    """The update of this round, from `model`; only training has feedback."""
    shapes, levels = task_specs(plan, work.task), levels_up(plan, work.round)
    counted = {name: weights[name] for name in values}
    if work.task != "train":
        packed = Packed(compress(values, shapes, "exact").body, b"", b"")
    elif levels is None:
        packed = pack(values, shapes, preset_up(plan, work.round), feedback)
    else:
        packed = pack_steps(values, counted, shapes, Quantizer(plan, levels, model), feedback)
        counted[MAGNITUDES] = max(counted.values(), default=1)
    payload = encode_update(
        packed.body,
        counted,
        shapes,
        site=site,
        plan=plan.digest(),
        run=run,
        round_=work.round,
        task=work.task,
        base=work.version,
        metrics=metrics,
    )
    lost = None if packed.lost is packed.body else packed.lost
    return Outbox(work.round, work.task, payload, packed.owed, lost)
