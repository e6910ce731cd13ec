"""Shares of noise at sites make up the noise of the promise."""

import numpy as np
import pytest

from fedfin.errors import SettingsError
from fedfin.privacy.accountant import rho_of
from fedfin.privacy.clipping import STEPS
from fedfin.privacy.discrete_gaussian import discrete_gaussian
from fedfin.privacy.shared_noise import LEAST_VARIANCE, cost, share_variance


@pytest.mark.parametrize("epsilon", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("min_sites", [2, 3, 10, 100])
def test_all_but_one_of_the_fewest_sites_keep_the_promise(epsilon: float, min_sites: int) -> None:
    """So whoever knows a share, his own, is still promised as much; and hardly more noise is added than that takes."""
    rho = rho_of(epsilon, 1e-5)
    variance = share_variance(rho, min_sites)
    assert cost(variance, min_sites - 1) <= rho
    assert variance == LEAST_VARIANCE or cost(variance - 1, min_sites - 1) > rho


def test_sites_that_tell_each_other_cost_what_the_page_says() -> None:
    """Of ten sites four that collude leave six shares, where nine were meant to be: half as much again."""
    variance = share_variance(0.01, 10)
    assert cost(variance, 6) / cost(variance, 9) == pytest.approx(9 / 6)


def test_the_sum_of_shares_has_the_variance_of_one_gaussian() -> None:
    """Nine draws of a ninth; within five deviations of such an estimate."""
    variance, values = share_variance(0.5, 10), 100_000
    total = sum(discrete_gaussian(variance, values) for _ in range(9))
    wanted = STEPS**2 / (2 * 0.5)
    assert abs(total.var() / wanted - 1) < 5 * np.sqrt(2 / values) + 1 / variance


def test_a_generous_budget_still_gets_noise_like_a_gaussian() -> None:
    """Or the accounting would not hold for the sum."""
    assert share_variance(1e6, 100) == LEAST_VARIANCE


def test_more_noise_than_can_be_drawn_is_refused_with_the_remedy() -> None:
    """An epsilon of a thousandth."""
    with pytest.raises(SettingsError, match=r"rho must be 0\.00\d+ or more. Raise privacy.epsilon"):
        share_variance(rho_of(0.001, 1e-6), 2)
