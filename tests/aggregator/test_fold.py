"""The fold: exact, whatever the order, and never beyond int64."""

import contextlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.protocol import staleness
from fedfin_aggregator.fold.fold import Fold, apply_means

VALUES = st.lists(st.floats(-limits.VALUE_ABS, limits.VALUE_ABS, width=32), min_size=3, max_size=3)
UPDATES = st.lists(st.tuples(VALUES, st.integers(1, 2**21), st.integers(0, 9)), min_size=1, max_size=4)


def _fold(updates) -> Fold:
    fold = Fold()
    for values, weight, other in updates:
        fold.add({"a": np.float32(values), "b": np.float32(values[:1])}, {"a": weight, "b": other})
    return fold


@given(UPDATES, st.randoms())
@settings(deadline=None)
def test_the_order_of_updates_does_not_change_a_bit(updates, random) -> None:
    """Integer sums know no order."""
    shuffled = random.sample(updates, len(updates))
    first, second = _fold(updates).means(), _fold(shuffled).means()
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }


def test_order_matters_in_float32_for_the_case_that_the_fold_gets_right() -> None:
    """So the test above tests something: a plain float32 sum of these depends on their order."""
    values = [np.float32(v) for v in (1e4, 1e-4, -1e4)]
    assert (values[0] + values[1]) + values[2] != (values[0] + values[2]) + values[1]
    folds = [_fold([([float(values[i])] * 3, 1, 1) for i in order]) for order in ((0, 1, 2), (0, 2, 1))]
    assert folds[0].means()["a"].tobytes() == folds[1].means()["a"].tobytes()


@given(UPDATES)
@settings(deadline=None)
def test_the_mean_is_the_weighted_mean(updates) -> None:
    """Within half a unit of the last fraction bit per site, and float64's own rounding."""
    weights = np.array([weight for _, weight, _ in updates], np.float64)
    values = np.array([np.float32(v) for v, _, _ in updates], np.float64)
    exact = (values * weights[:, None]).sum(0) / weights.sum()
    bound = len(updates) * 2.0**-25 / weights.sum() + 1e-12 * np.abs(values).max()
    assert (np.abs(_fold(updates).means()["a"] - exact) <= bound).all()


def test_each_tensor_has_its_own_weight() -> None:
    """A site that trained one tensor on few cases and another on many counts so for each."""
    fold = _fold([([1.0, 1, 1], 1, 3), ([3.0, 3, 3], 3, 1)])
    assert fold.means()["a"].tolist() == [2.5, 2.5, 2.5]
    assert fold.means()["b"].tolist() == [1.5]


def test_a_weight_of_zero_adds_nothing() -> None:
    """A tensor that nobody trained has no mean."""
    fold = _fold([([1.0, 1, 1], 1, 0)])
    assert set(fold.means()) == {"a"}


def test_a_late_update_moves_the_mean_by_its_share() -> None:
    """Half of 4 on 1 case beside 1 on 3 cases: (1 * 3 + 4 * 1 / 2) / 4."""
    fold = Fold()
    fold.add({"a": np.float32([1])}, {"a": 3})
    fold.add({"a": np.float32([4])}, {"a": 1}, staleness.FULL // 2)
    assert fold.means()["a"].tolist() == [1.25]


@given(st.floats(-limits.VALUE_ABS, limits.VALUE_ABS, width=32), st.integers(1, 2**22))
def test_a_share_is_rounded_once(value: float, weight: int) -> None:
    """To the nearest unit of the last fraction bit, whatever the share; the full share changes nothing."""
    for share in (1, 12_345, staleness.FULL - 1, staleness.FULL):
        fold = Fold()
        fold.add({"a": np.float32([value])}, {"a": weight}, share)
        exact = Fraction(value) * weight * share / staleness.FULL * 2**limits.FRACTION_BITS
        assert abs(int(fold.sums["a"].total[0]) - exact) <= Fraction(1, 2) + abs(exact) * Fraction(1, 2**53)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("exponent", [0, 8, 9, 16])
def test_a_round_holds_what_an_int64_does(sign: float, exponent: int) -> None:
    """Of values of 2^8 twice 2^30 cases but one; their sum is exact, and one case more is refused."""
    fold, weight = Fold(), min(limits.SITE_WEIGHT, 2 ** (38 - exponent))
    value = {"a": np.float32([sign * 2.0**exponent])}
    for _ in range(2 ** (39 - exponent) // weight - 1):
        fold.add(value, {"a": weight})
    fold.add(value, {"a": weight - 1})
    assert int(fold.sums["a"].total[0]) == int(sign) * (2**63 - 2 ** (24 + exponent))
    assert fold.means()["a"].tolist() == [sign * 2.0**exponent]
    with pytest.raises(
        ProtocolError, match="tensor a: the round's sum of so many cases could exceed an int64"
    ):
        fold.add(value, {"a": 1})


EXTREMES = st.sampled_from([limits.VALUE_ABS, 2.0**9, 511.99997, 1.0, 2.0**-24, 0.0])
CLAIMS = st.sampled_from([1, 2**20, 2**22 - 1, 2**23, 2**30 - 1, limits.SITE_WEIGHT])


@given(st.lists(st.tuples(EXTREMES, EXTREMES, CLAIMS), min_size=1, max_size=40), st.data())
@settings(deadline=None)
def test_no_sum_of_what_is_taken_overflows(updates, data) -> None:
    """Nor does one of some of it, nor in another order; and what is taken is added exactly."""
    fold, taken = Fold(), []
    for high, low, weight in updates:
        values = {"a": np.float32([high, -low])}
        with contextlib.suppress(ProtocolError):
            fold.add(values, {"a": weight})
            taken.append((values, weight))
    some = data.draw(st.lists(st.sampled_from(taken), unique_by=id, max_size=len(taken))) if taken else []
    for chosen in (taken, some):
        again = Fold()
        for values, weight in chosen:
            again.add(values, {"a": weight})
        exact = [sum(round(Fraction(float(v["a"][i])) * w * 2**24) for v, w in chosen) for i in (0, 1)]
        found = again.sums["a"].total.tolist() if chosen else [0, 0]
        assert all(abs(a - b) <= abs(b) // 2**52 for a, b in zip(found, exact, strict=True))


def test_a_roots_sum_is_exact_beyond_an_int64() -> None:
    """Each shard holds as much as one aggregator can; what they come to together is their sum all the same."""
    shards = []
    for value in (2.0**8, 2.0**8, -(2.0**8)):
        shards.append(Fold())
        shards[-1].add({"a": np.float32([value, 1.0])}, {"a": limits.SITE_WEIGHT})
    root = Fold()
    for shard in shards[:2]:
        root.merge(shard.sums)
    assert root.means()["a"].dtype == np.float64
    assert root.sums["a"].total.tolist() == [2**63, 2**55]
    assert root.means()["a"].tolist() == [2.0**8, 1.0]
    root.merge(shards[2].sums)
    assert root.sums["a"].total.tolist() == [2**62, 3 * 2**54]


@pytest.mark.parametrize("before", [0, 3])
def test_a_round_weight_beyond_the_limit_is_refused_and_adds_nothing(before: int) -> None:
    """All or none: the tensor that would still fit is not added either."""
    fold = Fold(limit=2**22)
    for _ in range(before):
        fold.add({"a": np.float32([1])}, {"a": 2**20})
    room = 2**22 - before * 2**20
    with pytest.raises(ProtocolError, match="tensor a: the round's weight"):
        fold.add({"Z": np.float32([1]), "a": np.float32([1])}, {"Z": 1, "a": room + 1})
    assert "Z" not in fold.sums
    assert ("a" in fold.sums) == (before > 0)


def test_means_are_added_or_replace() -> None:
    """Deltas are added, moments replace; a tensor without mean stays; none leaves the protocol's range."""
    model = {"a": np.float32([1, limits.VALUE_ABS]), "b": np.float32([5])}
    means = {"a": np.array([2.0, 10.0])}
    assert apply_means(model, means, replace=False)["a"].tolist() == [3.0, limits.VALUE_ABS]
    assert apply_means(model, means, replace=True)["a"].tolist() == [2.0, 10.0]
    assert apply_means(model, means, replace=True)["b"].tolist() == [5.0]
    assert model["a"].tolist() == [1, limits.VALUE_ABS]
