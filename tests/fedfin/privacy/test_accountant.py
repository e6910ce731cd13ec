"""What rho promises, beside another accountant and published values."""

import math

import pytest

from fedfin.privacy.accountant import delta_of, epsilon_of, rho_of, rho_of_noise

RHOS = (0.001, 0.02, 0.1, 0.5, 2.0, 10.0)
DELTAS = (1e-9, 1e-6, 1e-3)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("delta", DELTAS)
def test_it_is_no_looser_than_renyi_orders_and_never_below_the_exact_loss(rho: float, delta: float) -> None:
    """dp-accounting: over its orders of Renyi's divergence, and by the exact loss of Gaussian noise."""
    event = pytest.importorskip("dp_accounting").GaussianDpEvent(1 / math.sqrt(2 * rho))
    from dp_accounting import pld, rdp

    by_orders = rdp.RdpAccountant([1 + 1.02**k / 10 for k in range(1, 700)]).compose(event).get_epsilon(delta)
    exact = pld.PLDAccountant(value_discretization_interval=1e-3).compose(event).get_epsilon(delta)
    ours = epsilon_of(rho, delta)
    assert exact <= ours <= by_orders * (1 + 1e-9) + 1e-9
    assert ours == pytest.approx(by_orders, rel=2e-3)


def test_many_releases_cost_what_another_accountant_says() -> None:
    """Twenty of different noise: costs add up."""
    dp_accounting = pytest.importorskip("dp_accounting")
    from dp_accounting import rdp

    accountant = rdp.RdpAccountant([1 + 1.02**k / 10 for k in range(1, 700)])
    for k in range(20):
        accountant.compose(dp_accounting.GaussianDpEvent(4.0 + k))
    rho = sum(rho_of_noise(1.0, (4.0 + k) ** 2) for k in range(20))
    assert epsilon_of(rho, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5), rel=2e-3)


@pytest.mark.parametrize(("epsilon", "rho"), [(17.14, 2.56), (2.47, 0.07)])
def test_it_agrees_with_what_the_census_of_2020_published(epsilon: float, rho: float) -> None:
    """Persons and housing units of its redistricting data, at delta 1e-10 (US Census Bureau, 9 June 2021)."""
    assert round(rho_of(epsilon, 1e-10), 2) == rho


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("delta", DELTAS)
def test_the_largest_rho_keeps_the_promise_and_no_larger_one_does(epsilon: float, delta: float) -> None:
    """There and back."""
    rho = rho_of(epsilon, delta)
    assert delta_of(rho, epsilon) <= delta < delta_of(1.0001 * rho, epsilon)
    assert epsilon_of(rho, delta) == pytest.approx(epsilon, rel=1e-6)


def test_noise_twice_as_wide_costs_a_quarter() -> None:
    """Of one release."""
    assert rho_of_noise(256.0, 4 * 10.0) == rho_of_noise(256.0, 10.0) / 4 == 256**2 / 80


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1])
def test_a_delta_that_promises_nothing_is_refused(delta: float) -> None:
    """And so is an epsilon of 0, and noise without variance."""
    with pytest.raises(ValueError, match="delta must be above 0 and below 1"):
        epsilon_of(0.1, delta)
    with pytest.raises(ValueError, match="delta must be above 0 and below 1"):
        rho_of(1.0, delta)
    with pytest.raises(ValueError, match="epsilon must be above 0"):
        rho_of(0.0, 1e-5)
    with pytest.raises(ValueError, match="variance above 0"):
        rho_of_noise(1.0, 0.0)


def test_nothing_released_promises_everything() -> None:
    """And so much of it that a bound says nothing promises nothing."""
    assert delta_of(0.0, 1.0) == 0.0
    assert epsilon_of(0.0, 1e-6) == 0.0
    assert delta_of(1000.0, 0.1) == 1.0


@pytest.mark.parametrize(("drafted", "alike"), [(8, 5.75), (3, 2.15), (1, 0.71)])
def test_a_draft_s_noise_is_that_of_less_epsilon_in_the_tables(drafted: float, alike: float) -> None:
    """docs/privacy.md: theirs has delta 1e-5 and nine shares of ten sites, a draft's 1e-6 and six of at least seven."""
    assert epsilon_of(rho_of(drafted, 1e-6) * 6 / 9, 1e-5) == pytest.approx(alike, abs=0.005)
