"""A shard's round as one payload: the exact sums of its sites' updates, which the root adds to the other shards'.

Integers, so that sums of sums are the sums themselves: the model has the same bytes, however sites are split.
"""

import math
import sys
from fractions import Fraction
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Shapes
from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task
from fedfin.names import Digest
from fedfin.plain_text import plain_error
from fedfin.protocol.fields import Count
from fedfin.protocol.messages.message import Message
from fedfin.protocol.payloads import Metric
from fedfin_aggregator.fold.fold import Fold, Sum
from fedfin_aggregator.fold.means import Means

Weight = Annotated[int, msgspec.Meta(ge=0, le=limits.ROUND_WEIGHT)]
_DIGITS = 800  # more than any sum of doubles has, above or below the fraction bar
_ITEM = np.dtype("<i8")
_LARGEST = int(limits.VALUE_ABS) << limits.FRACTION_BITS  # of one value with weight 1


class MetricSum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric's exact sum over the sites that sent it, numerator/denominator, and how many those are."""

    total: Annotated[str, msgspec.Meta(pattern=rf"^-?[0-9]{{1,{_DIGITS}}}/[1-9][0-9]{{0,{_DIGITS}}}\Z")]
    count: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]


class PartialSum(Message, frozen=True):
    """`weights`: of each tensor of the task, by sorted name; `totals`: int64, of those with a weight.

    `updates` and `size`: how many updates are in it, and their bytes together; `late`: how many of them were late.
    """

    shard: str
    plan: Digest
    round: Count
    task: Task
    base: Count
    updates: Count
    late: Count
    size: Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
    weights: Annotated[tuple[Weight, ...], msgspec.Meta(max_length=limits.TENSORS)]
    totals: bytes
    metrics: Annotated[dict[Metric, MetricSum], msgspec.Meta(max_length=limits.METRICS)]


def encode_sum(
    fold: Fold,
    means: Means,
    late: int,
    shapes: Shapes,
    *,
    shard: str,
    plan: str,
    round_: int,
    task: Task,
    base: int,
) -> bytes:
    """A PartialSum's bytes. The same updates give the same bytes."""
    sums = fold.sums
    payload = PartialSum(
        shard=shard,
        plan=plan,
        round=round_,
        task=task,
        base=base,
        updates=means.updates,
        late=late,
        size=means.bytes,
        weights=tuple(sums[name].weight if name in sums else 0 for name in sorted(shapes)),
        totals=b"".join(sums[name].total.astype(_ITEM, copy=False).tobytes() for name in sorted(sums)),
        metrics={name: _metric_sum(*sum_) for name, sum_ in sorted(means.sums.items())},
    )
    return msgspec.msgpack.encode(payload)


def _metric_sum(total: Fraction, count: int) -> MetricSum:
    return MetricSum(f"{total.numerator}/{total.denominator}", count)


def decode_sum(data: bytes) -> PartialSum:
    """Bytes into a PartialSum, not yet checked against the plan. Raises ProtocolError."""
    try:
        return msgspec.msgpack.decode(data, type=PartialSum)
    except UNDECODABLE as error:
        raise ProtocolError(f"not a valid partial sum: {plain_error(error)}") from None


def unpack(sum_: PartialSum, shapes: Shapes) -> dict[str, Sum]:
    """The sums by name. Raises ProtocolError: other shapes than the plan's, or a total that its weight cannot give."""
    names = sorted(shapes)
    if len(sum_.weights) != len(names):
        raise ProtocolError(f"the sum has {len(sum_.weights)} weights for {len(names)} tensors")
    present = {name: weight for name, weight in zip(names, sum_.weights, strict=True) if weight}
    sizes = {name: math.prod(shapes[name]) * _ITEM.itemsize for name in present}
    if len(sum_.totals) != sum(sizes.values()):
        raise ProtocolError(f"the sum has {len(sum_.totals)} bytes, not {sum(sizes.values())}")
    sums, start = {}, 0
    for name, weight in present.items():
        data = memoryview(sum_.totals)[start : start + sizes[name]]
        total = np.frombuffer(data, _ITEM).astype(np.int64).reshape(shapes[name])
        check_total(name, total, weight)
        sums[name] = Sum(total, weight)
        start += sizes[name]
    return sums


def check_total(name: str, total: NDArray[np.int64], weight: int) -> None:
    """Whether cases of so much weight can give this total. Raises ProtocolError."""
    # Not abs(): that of the smallest int64 is negative.
    if total.size and not -weight * _LARGEST <= int(total.min()) <= int(total.max()) <= weight * _LARGEST:
        raise ProtocolError(f"tensor {name} has a total that its weight cannot give")


def metric_sums(sum_: PartialSum) -> dict[str, tuple[Fraction, int]]:
    """As Means keeps them. Raises ProtocolError for a sum that no numbers have: its mean would be no number."""
    sums = {name: (Fraction(metric.total), metric.count) for name, metric in sum_.metrics.items()}
    for name, (total, count) in sums.items():
        if abs(total) > count * Fraction(sys.float_info.max):
            raise ProtocolError(f"metric {name!r} has a sum that is larger than any of its sites' can be")
    return sums


def max_bytes(shapes: Shapes) -> int:
    """No honest sum over tensors of these shapes is larger."""
    values = sum(_ITEM.itemsize * math.prod(shape) + 16 for shape in shapes.values())
    return values + (limits.NAME_CHARS + 2 * _DIGITS + 32) * limits.METRICS + 4096
