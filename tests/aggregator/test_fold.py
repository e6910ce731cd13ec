"""The fold: exact, whatever the order, and never beyond int64."""

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
UPDATES = st.lists(
    st.tuples(VALUES, st.integers(1, limits.SITE_WEIGHT), st.integers(0, 9)), min_size=1, max_size=4
)


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


@given(st.floats(-limits.VALUE_ABS, limits.VALUE_ABS, width=32), st.integers(1, limits.SITE_WEIGHT))
def test_a_share_is_rounded_once(value: float, weight: int) -> None:
    """To the nearest unit of the last fraction bit, whatever the share; the full share changes nothing."""
    for share in (1, 12_345, staleness.FULL - 1, staleness.FULL):
        fold = Fold()
        fold.add({"a": np.float32([value])}, {"a": weight}, share)
        exact = Fraction(value) * weight * share / staleness.FULL * 2**limits.FRACTION_BITS
        assert abs(int(fold.sums["a"].total[0]) - exact) <= Fraction(1, 2) + abs(exact) * Fraction(1, 2**53)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_limits_cannot_overflow(sign: float) -> None:
    """Greatest values with the greatest weights of a full round: the sum is exact."""
    fold = Fold()
    value, full = {"a": np.float32([sign * limits.VALUE_ABS])}, limits.ROUND_WEIGHT // limits.SITE_WEIGHT
    for _ in range(full):
        fold.add(value, {"a": limits.SITE_WEIGHT})
    assert int(fold.sums["a"].total[0]) == int(sign) * 2**62
    assert fold.means()["a"].tolist() == [sign * limits.VALUE_ABS]


@pytest.mark.parametrize("before", [0, 3])
def test_a_round_weight_beyond_the_limit_is_refused_and_adds_nothing(before: int) -> None:
    """All or none: the tensor that would still fit is not added either."""
    fold = Fold()
    for _ in range(before):
        fold.add({"a": np.float32([1])}, {"a": limits.SITE_WEIGHT})
    room = limits.ROUND_WEIGHT - before * limits.SITE_WEIGHT
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
