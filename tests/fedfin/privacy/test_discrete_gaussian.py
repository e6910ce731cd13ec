"""The sampler draws what its formula says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fedfin.privacy.discrete_gaussian import MOST_VARIANCE, discrete_gaussian, system_words

DRAWS = 200_000
# Chi-square of `cells` degrees of freedom is above cells + 5 sqrt(2 cells) less than once in 10,000 (seeds are fixed).
SPREADS = 5.0


def _words(seed: int):
    """A source that can be repeated."""
    generator = np.random.default_rng(seed)
    return lambda count: generator.integers(0, 2**64, count, np.uint64)


def _probabilities(variance: int, reach: int) -> NDArray[np.float64]:
    """Of -reach..reach, by the formula."""
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-np.square(values) / (2.0 * variance))
    return weights / weights.sum()


@pytest.mark.parametrize("variance", [1, 2, 7, 100, 2_500])
def test_draws_have_the_distribution_of_the_formula(variance: int) -> None:
    """Chi-square over single values where ten draws or more are expected, and the two tails."""
    reach = 12 * int(np.sqrt(variance) + 1)
    draws = discrete_gaussian(variance, DRAWS, _words(variance))
    assert np.abs(draws).max() <= reach
    seen = np.bincount(draws + reach, minlength=2 * reach + 1)
    expected = DRAWS * _probabilities(variance, reach)
    often = expected >= 10
    seen = np.append(seen[often], seen[~often].sum())
    expected = np.append(expected[often], expected[~often].sum())
    chi_square = float((np.square(seen - expected) / expected).sum())
    cells = len(seen) - 1
    assert chi_square < cells + SPREADS * np.sqrt(2 * cells)


def test_another_distribution_of_the_same_variance_would_be_seen() -> None:
    """The chi-square above tells rounded uniform numbers from it."""
    reach = 20
    draws = np.rint(np.random.default_rng(1).uniform(-3, 3, DRAWS) * 7**0.5 / 3**0.5).astype(int)
    seen, expected = np.bincount(draws + reach, minlength=2 * reach + 1), DRAWS * _probabilities(7, reach)
    often = expected >= 10
    chi_square = float((np.square(seen - expected) / expected)[often].sum())
    assert chi_square > 1000


def test_the_widest_noise_does_not_overflow() -> None:
    """Its mean is 0 and its variance what was asked for, within five deviations of such an estimate."""
    draws = discrete_gaussian(MOST_VARIANCE, DRAWS, _words(3)).astype(np.float64)
    assert abs(draws.mean()) < 5 * np.sqrt(MOST_VARIANCE / DRAWS)
    assert abs(draws.var() / MOST_VARIANCE - 1) < 5 * np.sqrt(2 / DRAWS)
    assert 4 < np.abs(draws).max() / np.sqrt(MOST_VARIANCE) < 6


def test_draws_do_not_depend_on_each_other() -> None:
    """Correlation of neighbours in one call, and of two calls."""
    one, other = discrete_gaussian(100, DRAWS, _words(4)), discrete_gaussian(100, DRAWS, _words(5))
    for first, second in ((one[1:], one[:-1]), (one, other)):
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(DRAWS)


def test_its_bits_are_the_operating_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a generator with a seed that a plan, or anybody, knows."""
    asked = []

    def urandom(count: int) -> bytes:
        asked.append(count)
        return bytes(np.random.default_rng(len(asked)).bytes(count))

    monkeypatch.setattr("os.urandom", urandom)
    np.random.seed(0)  # noqa: NPY002 - what it must not depend on
    first = discrete_gaussian(100, 50)
    assert asked
    monkeypatch.undo()
    np.random.seed(0)  # noqa: NPY002
    assert (discrete_gaussian(100, 50) != first).any()
    assert len(system_words(3)) == 3


@pytest.mark.parametrize("variance", [0, -1, MOST_VARIANCE + 1])
def test_a_variance_that_it_cannot_draw_is_refused(variance: int) -> None:
    """Rather than drawn wrongly."""
    with pytest.raises(ValueError, match="the variance must be 1 to"):
        discrete_gaussian(variance, 1)


def test_no_draws_are_none() -> None:
    """A tensor may be empty."""
    assert discrete_gaussian(5, 0).shape == (0,)
