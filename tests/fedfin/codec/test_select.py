"""The largest values of all tensors together, exactly as many as asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin.codec.select import largest


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-5, 5), max_size=40), max_size=4), st.floats(0.001, 1.0))
def test_none_that_is_left_is_larger(rows: list[list[int]], share: float) -> None:
    """With many equal magnitudes too; zeros are never kept; the first of equals are."""
    flats = [np.array(row, np.float32) for row in rows]
    kept, threshold = largest(flats, share)
    magnitudes = np.abs(np.concatenate(flats)) if flats else np.zeros(0)
    wanted = min(int(np.ceil(share * len(magnitudes))), np.count_nonzero(magnitudes))
    chosen = np.concatenate(
        [np.abs(flat[some]) for flat, some in zip(flats, kept, strict=True)] or [np.zeros(0)]
    )
    assert np.array_equal(np.sort(chosen), np.sort(magnitudes)[len(magnitudes) - wanted :])
    assert not len(chosen) or chosen.min() == threshold
    assert all((np.diff(some) > 0).all() for some in kept)


@pytest.mark.parametrize("period", [1, 16, 17, 34, 64])
def test_a_sample_that_misleads_costs_time_only(period: int) -> None:
    """Large values at a period that the sample always meets, or never."""
    flat = np.full(20_000, 1e-3, np.float32)
    flat[period - 1 :: period] = np.arange(1, len(flat[period - 1 :: period]) + 1)
    (kept,), threshold = largest([flat], 0.01)
    assert len(kept) == 200
    assert threshold == np.sort(flat)[-200]
