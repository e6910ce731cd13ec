"""What transfers carry: a site's update, and a global model."""

import math
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

from fedfin.errors import ProtocolError
from fedfin.plan import Codec, Digest
from fedfin.protocol import limits
from fedfin.protocol.messages import Count, Message, Task, plain
from fedfin.protocol.tensors import Name, Tensors, WireTensors, decode_all, encode_tensor

Metrics = Annotated[dict[Name, float], msgspec.Meta(max_length=limits.METRICS)]


class Update(Message, frozen=True):
    """One site's answer to one round: named deltas, each with its own weight; some numbers about the work."""

    site: str
    plan: Digest
    round: Count
    task: Task
    base: Count
    tensors: WireTensors
    metrics: Metrics

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.metrics.values()):
            raise ValueError("a metric is not finite")


class GlobalModel(Message, frozen=True):
    """One version of the model: every tensor of the plan."""

    plan: Digest
    version: Count
    tensors: WireTensors


def encode_update(
    deltas: Tensors,
    weights: Mapping[str, int],
    *,
    codec: Codec,
    site: str,
    plan: str,
    round_: int,
    task: Task,
    base: int,
    metrics: Mapping[str, float],
) -> bytes:
    """An update's bytes. The same input gives the same bytes: its id is their hash."""
    tensors = {name: encode_tensor(deltas[name], codec, weights[name]) for name in sorted(deltas)}
    update = Update(
        site=site,
        plan=plan,
        round=round_,
        task=task,
        base=base,
        tensors=tensors,
        metrics=dict(sorted(metrics.items())),
    )
    return msgspec.msgpack.encode(update)


def encode_model(tensors: Tensors, *, plan: str, version: int) -> bytes:
    """A global model's bytes, always float32: every site must hold the same bits."""
    wire = {name: encode_tensor(tensors[name], "float32") for name in sorted(tensors)}
    return msgspec.msgpack.encode(GlobalModel(plan=plan, version=version, tensors=wire))


_P = TypeVar("_P", Update, GlobalModel)


def decode_payload(data: bytes, kind: type[_P]) -> _P:
    """Bytes into an Update or a GlobalModel, not yet checked against the plan. Raises ProtocolError."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"not a valid {kind.__name__.lower()}: {plain(error)}") from None


def decode_model(data: bytes, *, plan: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, Tensors]:
    """(version, tensors) of a global model that has every tensor of the plan. Raises ProtocolError."""
    model = decode_payload(data, GlobalModel)
    if model.plan != plan:
        raise ProtocolError("the model belongs to another plan")
    if lacking := sorted(set(shapes) - set(model.tensors)):
        raise ProtocolError(f"the model lacks tensor {lacking[0]} and {len(lacking) - 1} more")
    return model.version, decode_all(model.tensors, shapes)
