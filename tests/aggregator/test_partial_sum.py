"""A shard's round as one payload."""

from fractions import Fraction

import msgspec
import numpy as np
import pytest

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin_aggregator.fold.fold import Fold
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.partial_sum import (
    PartialSum,
    decode_sum,
    encode_sum,
    max_bytes,
    metric_sums,
    unpack,
)

SHAPES = {"a": (2, 3), "b": (4,), "c": ()}
FACTS = {"shard": "shard/0", "plan": "0" * 64, "round_": 2, "task": "train", "base": 1}


def _fold(seed: int, sites: int, *, names=tuple(SHAPES)) -> tuple[Fold, Means]:
    rng, fold, means = np.random.default_rng(seed), Fold(), Means()
    for _ in range(sites):
        values = {name: rng.normal(size=SHAPES[name]).astype(np.float32) for name in names}
        fold.add(values, dict.fromkeys(names, int(rng.integers(1, 1000))))
        means.add(100, {"loss": float(rng.normal())})
    return fold, means


def _payload(**changes) -> bytes:
    honest = msgspec.structs.asdict(decode_sum(encode_sum(*_fold(1, 3), 1, SHAPES, **FACTS)))
    return msgspec.msgpack.encode(PartialSum(**(honest | changes)))


def test_a_sum_arrives_as_it_was() -> None:
    """Also when no site sent one of the tensors, or no site anything."""
    for fold, means in (_fold(1, 3), _fold(2, 2, names=("a", "c")), (Fold(), Means())):
        sum_ = decode_sum(encode_sum(fold, means, 0, SHAPES, **FACTS))
        sums = unpack(sum_, SHAPES)
        assert {name: (part.total.tolist(), part.weight) for name, part in sums.items()} == {
            name: (part.total.tolist(), part.weight) for name, part in fold.sums.items()
        }
        assert (sum_.updates, sum_.size, metric_sums(sum_)) == (means.updates, means.bytes, means.sums)


def test_sums_of_sums_are_the_sums() -> None:
    """Whichever site is whose: same model, same metrics, to the bit."""
    rng = np.random.default_rng(5)
    sent = [(rng.normal(size=4).astype(np.float32), int(rng.integers(1, 99)), rng.normal()) for _ in range(9)]
    whole, root, means, merged = Fold(), Fold(), Means(), Means()
    for part in (sent[::2], sent[1::2]):
        fold, some = Fold(), Means()
        for value, weight, loss in part:
            for each in (fold, whole):
                each.add({"b": value}, {"b": weight})
            for each in (some, means):
                each.add(10, {"loss": float(loss)})
        sum_ = decode_sum(encode_sum(fold, some, 0, SHAPES, **FACTS))
        root.merge(unpack(sum_, SHAPES))
        merged.merge(sum_.updates, sum_.size, metric_sums(sum_))
    assert root.means()["b"].tobytes() == whole.means()["b"].tobytes()
    assert merged.results() == means.results()


def test_a_mean_does_not_depend_on_the_order() -> None:
    """Where floating-point sums would."""
    one, other = Means(), Means()
    for value in (1e16, 1.0, -1e16, 3.0):
        one.add(1, {"loss": value})
    for value in (3.0, 1e16, 1.0, -1e16):
        other.add(1, {"loss": value})
    assert one.results() == other.results() == {"loss": 1.0, "sites": 4.0, "bytes": 4.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": (1, 1)}, "2 weights for 3 tensors"),
        ({"weights": (1, 1, 0)}, "bytes, not 80"),
        ({"totals": bytes(80)}, "bytes, not 88"),
        ({"totals": b"\xff" * 7 + b"\x7f" + bytes(80)}, "tensor a has a total that its weight cannot give"),
        ({"totals": bytes(7) + b"\x80" + bytes(80)}, "tensor a has a total that its weight cannot give"),
    ],
)
def test_a_sum_that_cannot_be_is_refused(changes: dict, reason: str) -> None:
    """Before a value of it is folded."""
    with pytest.raises(ProtocolError, match=reason):
        unpack(decode_sum(_payload(**changes)), SHAPES)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x93\x01\x02\x03",
        _payload(weights=(limits.ROUND_WEIGHT + 1, 1, 1)),
        _payload(updates=-1),
        _payload(metrics={"loss": {"total": "1/0", "count": 1}}),
        _payload(metrics={"loss": {"total": "1/2", "count": 0}}),
        _payload(metrics={"loss": {"total": "nan", "count": 1}}),
        _payload(metrics={"loss": {"total": "1" * 2000 + "/1", "count": 1}}),
    ],
    ids=range(8),
)
def test_what_is_no_sum_is_refused(data: bytes) -> None:
    """By name, and without harm."""
    with pytest.raises(ProtocolError, match="not a valid partial sum"):
        decode_sum(data)


def test_no_honest_sum_exceeds_the_limit() -> None:
    """Even with the most metrics, of the longest names and the widest range."""
    fold, means = _fold(3, 2)
    names = [f"{index:0{limits.NAME_CHARS}}" for index in range(limits.METRICS)]
    for value in (1.7e308, 5e-324):
        means.merge(1, 1, {name: (Fraction(value), 1) for name in names})
    assert len(encode_sum(fold, means, 0, SHAPES, **FACTS)) <= max_bytes(SHAPES)
