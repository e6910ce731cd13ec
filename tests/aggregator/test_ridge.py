"""What a ridge says of new cases when one group alone knows a target, perhaps of few of its cases."""

import numpy as np
import pytest

from fedfin_aggregator.closed_form.pooled_moments import Regression
from fedfin_aggregator.closed_form.ridge import fit

DIM, TARGETS = 120, 40


def cases(count, seed, *, known=1.0):
    """Features and targets that a fifth of the variance of follows from them; NaN where not known."""
    world, rng = np.random.default_rng(5), np.random.default_rng(seed)
    x = rng.normal(size=(count, DIM)) * np.linspace(2.0, 0.1, DIM)
    told = x @ world.normal(size=(DIM, TARGETS))
    y = told / told.std(axis=0) * 0.5 + rng.normal(size=(count, TARGETS))
    y[rng.random(count) >= known] = np.nan
    return x, y


def regression(x, y) -> Regression:
    """Its sums."""
    basis, known, y = np.insert(x, 0, 1.0, axis=1), ~np.isnan(y), np.nan_to_num(y)
    return Regression(
        len(x), basis.T @ basis, basis.T @ y, (y * y).sum(axis=0), known.sum(axis=0), basis.T @ known
    )


@pytest.mark.parametrize(("known", "seed"), [(1.0, 1), (0.5, 1), (0.25, 1), (0.15, 2)])
def test_what_is_too_good_about_its_own_cases_is_reckoned(known: float, seed: int) -> None:
    """Covariance of prediction and target, less the optimism, is that on new cases.

    To a twentieth of the variance in the mean over targets, and to a seventh of it by target: with 60 known cases
    Mallows' estimate of each by itself is off by more (0.18), and nothing at all for two of them.
    """
    own = regression(*cases(400, seed, known=known))
    ridge = fit([lambda: own])
    new = regression(*cases(20_000, 2))
    claimed = np.einsum("dt,dt->t", ridge.weights, own.cov_xy) - ridge.optimism
    true = np.einsum("dt,dt->t", ridge.weights, new.cov_xy)
    assert abs((claimed - true).mean()) < 0.05 * own.var_y.mean()
    assert (claimed - true).std() < 0.14 * own.var_y.mean()
    assert (ridge.optimism > 0).all()


def test_the_fewer_cases_a_target_is_known_of_the_higher_its_penalty() -> None:
    """And it beats guessing the mean on new cases, however few."""
    new = regression(*cases(20_000, 2))
    penalties = []
    for known in (1.0, 0.5, 0.25):
        own = regression(*cases(400, 1, known=known))
        ridge = fit([lambda own=own: own])
        penalties.append(ridge.penalty)
        w = ridge.weights
        error = (
            new.var_y - 2 * np.einsum("dt,dt->t", w, new.cov_xy) + np.einsum("dt,dt->t", w, new.cov_xx @ w)
        )
        assert error.mean() < new.var_y.mean()
    assert penalties == sorted(penalties)
    assert penalties[0] < penalties[-1]


def test_a_target_that_one_group_knows_keeps_a_penalty_of_its_own() -> None:
    """Two groups know the first targets of all cases, one knows the last of a quarter: its weights are as if alone."""
    one, other = cases(400, 1), cases(400, 3)
    half = TARGETS // 2
    one[1][:, half:] = np.nan
    other[1][100:, half:] = np.nan
    folds = [regression(*one), regression(*other)]
    together = fit([lambda: folds[0], lambda: folds[1]])
    last = [Regression(f.n, f.xx, f.xy[:, half:], f.yy[half:], f.known[half:], f.xk[:, half:]) for f in folds]
    alone = fit([lambda: last[0], lambda: last[1]])
    assert together.weights[:, half:] == pytest.approx(alone.weights, abs=1e-9)
    assert together.optimism[half:] == pytest.approx(alone.optimism, abs=1e-9)
    assert not together.optimism[:half].any()
