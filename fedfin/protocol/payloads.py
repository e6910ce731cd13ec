"""What transfers carry: a site's update, a global model, the delta between two; in them, bodies of the codec."""

import math
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Shapes, Tensors, compress, decompress, every_tensor, most_bytes
from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task
from fedfin.names import Digest
from fedfin.plain_text import plain_error
from fedfin.protocol.fields import Boot, Count
from fedfin.protocol.messages.message import Message

Metric = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARS)]
Metrics = Annotated[dict[Metric, float], msgspec.Meta(max_length=limits.METRICS)]
Weight = Annotated[int, msgspec.Meta(ge=0, le=limits.SITE_WEIGHT)]
Weights = Annotated[tuple[Weight, ...], msgspec.Meta(max_length=limits.TENSORS)]
_FIELDS = 1024  # bytes, for the names and values of all fields but bodies, weights and metrics
_METRIC = limits.NAME_CHARS + 16
_WEIGHT = 5


class Update(Message, frozen=True):
    """One site's answer to one round of one run; some numbers about the work.

    `weights`: how many cases stand behind each tensor of the task, by sorted name; 0: it is not in the `body`.
    """

    site: str
    plan: Digest
    run: Boot
    round: Count
    task: Task
    base: Count
    weights: Weights
    body: bytes
    metrics: Metrics

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.metrics.values()):
            raise ValueError("a metric is not finite")


class GlobalModel(Message, frozen=True):
    """One version of the model: every tensor of the plan, exact. The same model has the same bytes."""

    plan: Digest
    version: Count
    body: bytes


class GlobalDelta(Message, frozen=True):
    """From version - 1 to version: tensors to replace and tensors to add to. The rest stays as it is."""

    plan: Digest
    version: Count
    set: bytes
    add: bytes


def encode_update(
    body: bytes,
    weights: Mapping[str, int],
    shapes: Shapes,
    *,
    site: str,
    plan: str,
    run: str,
    round_: int,
    task: Task,
    base: int,
    metrics: Mapping[str, float],
) -> bytes:
    """An update's bytes. `body`: exactly the tensors of `shapes` whose weight is not 0.

    The same input gives the same bytes: the update's id is their hash.
    """
    update = Update(
        site=site,
        plan=plan,
        run=run,
        round=round_,
        task=task,
        base=base,
        weights=tuple(weights.get(name, 0) for name in sorted(shapes)),
        body=body,
        metrics=dict(sorted(metrics.items())),
    )
    return msgspec.msgpack.encode(update)


def open_update(update: Update, shapes: Shapes) -> tuple[Tensors, dict[str, int]]:
    """Values and weights by name, of the tensors that were sent. Raises ProtocolError."""
    if len(update.weights) != len(shapes):
        raise ProtocolError(f"the update has {len(update.weights)} weights for {len(shapes)} tensors")
    weights = {name: weight for name, weight in zip(sorted(shapes), update.weights, strict=True) if weight}
    values = decompress(update.body, shapes)
    if odd := sorted(values.keys() ^ weights.keys()):
        raise ProtocolError(f"tensor {odd[0]} has a value without a weight, or a weight without a value")
    return values, weights


def most_update_bytes(shapes: Shapes) -> int:
    """No honest update of tensors of these shapes is longer, whatever its preset."""
    return most_bytes(shapes) + _WEIGHT * len(shapes) + _METRIC * limits.METRICS + _FIELDS


def most_model_bytes(shapes: Shapes) -> int:
    """No global model of these shapes is longer."""
    return most_bytes(shapes) + _FIELDS


def encode_model(tensors: Tensors, *, plan: str, version: int) -> bytes:
    """A global model's bytes."""
    shapes = {name: array.shape for name, array in tensors.items()}
    body = compress(tensors, shapes, "exact").body
    return msgspec.msgpack.encode(GlobalModel(plan=plan, version=version, body=body))


def encode_delta(replaced: bytes, added: bytes, *, plan: str, version: int) -> bytes:
    """The bytes of the delta to `version`: the bodies of tensors to replace and of tensors to add to."""
    return msgspec.msgpack.encode(GlobalDelta(plan=plan, version=version, set=replaced, add=added))


_P = TypeVar("_P", Update, GlobalModel, GlobalDelta)


def decode_payload(data: bytes, kind: type[_P]) -> _P:
    """Bytes into one of the three, not yet checked against the plan. Raises ProtocolError."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNDECODABLE as error:
        raise ProtocolError(f"not a valid {kind.__name__.lower()}: {plain_error(error)}") from None


def decode_model(data: bytes, *, plan: str, shapes: Shapes) -> tuple[int, Tensors]:
    """(version, tensors) of a global model. Raises ProtocolError."""
    model = decode_payload(data, GlobalModel)
    if model.plan != plan:
        raise ProtocolError("the model belongs to another plan")
    return model.version, every_tensor(model.body, shapes)


def apply_delta(tensors: Tensors, data: bytes, *, plan: str, version: int, shapes: Shapes) -> Tensors:
    """The model of `version` from that of the version before. Raises ProtocolError.

    One float32 addition a value, so that every site comes to the same bits.
    """
    delta = decode_payload(data, GlobalDelta)
    if (delta.plan, delta.version) != (plan, version):
        raise ProtocolError(f"not the delta to version {version} of this plan's model")
    replaced, added = decompress(delta.set, shapes), decompress(delta.add, shapes)
    if both := sorted(replaced.keys() & added.keys()):
        raise ProtocolError(f"tensor {both[0]} is both replaced and added to")
    return tensors | replaced | {name: shifted(tensors[name], array) for name, array in added.items()}


def shifted(array: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sum, kept within what the protocol carries: step by step, a model must not become one that none can read."""
    total = array + by
    np.clip(total, -limits.VALUE_ABS, limits.VALUE_ABS, out=total)
    return total
