"""Ridge regression from second moments alone, its penalty chosen by cross-validation over groups of sites.

A group's squared error under weights W learnt from the others is var(y) - 2 W . cov(x, y) + W^T cov(x) W: it needs no
case, only the group's moments. Where a single group has the data, or knows a target, what is too good about its own
cases is estimated and taken off (Mallows, Technometrics 1973; Efron, JASA 2004).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin_aggregator.closed_form.pooled_moments import Regression, total

Floats = NDArray[np.float64]
Make = Callable[[], Regression]

# In mean eigenvalues of cov(x). The best of the studied data sets lie between 0.03 and 30.
PENALTIES = tuple(10.0 ** (k / 2) for k in range(-5, 5))
MOST_EXPLAINED = 0.999  # so that no estimate claims to be exact
# A target that varies less, in the fold that is learnt from, says nothing of the penalty: a label without positives,
# a feature that is constant. Its share of the error would drown all others'.
LEAST_VARIANCE = 1e-6
MOST_FREEDOM = 0.9  # twice the parameters per known case at which a fit says nothing of its noise
COMMON = 0.5  # share of what is estimated of a target that all have in common: each by itself may come out as nothing
TINY = 1e-12  # against division by zero


@dataclass(frozen=True)
class Ridge:
    """What was learnt of T targets from D inputs.

    weights: [D, T] for centred x; mean_x: [D]; mean_y: [T];
    left_out: for each fold the weights that the others gave; where only one fold knows y, those of all;
    optimism: [T], by how much cov(prediction, y) under these is higher than on new cases: only where one fold knows y;
    gain: [T] in 0..1, what predictions of new cases are best multiplied by;
    explained: [T] in 0..1, the share of y's variance that they then explain.
    """

    weights: Floats
    mean_x: Floats
    mean_y: Floats
    penalty: float
    left_out: tuple[Floats, ...]
    optimism: Floats
    gain: Floats
    explained: Floats


def fit(folds: Sequence[Make]) -> Ridge:
    """Fit all targets with one penalty. There is at least one fold, and each has cases.

    Folds are made when they are needed: those of 1280 features, all at once, would take 100 MB.
    """
    whole = total(make() for make in folds)
    informed = np.sum([make().known > 0 for make in folds], axis=0)  # how many folds know each target
    alone = informed <= 1
    if alone.all():
        penalty, weights, optimism = _estimated(whole, alone)
        left_out = (weights,) * len(folds)
    else:
        penalty, left_out = _cross_validated(whole, folds)
        weights, optimism = _solved(whole, penalty), np.zeros(len(informed))
        if alone.any():
            _, by_itself, optimistic = _estimated(whole, alone)
            weights = np.where(alone, by_itself, weights)
            left_out = tuple(np.where(alone, by_itself, part) for part in left_out)
            optimism = np.where(alone, optimistic, optimism)
    gain, explained = _out_of_fold(folds, left_out, optimism)
    return Ridge(weights, whole.mean_x, whole.mean_y, penalty, left_out, optimism, gain, explained)


def _cross_validated(whole: Regression, folds: Sequence[Make]) -> tuple[float, tuple[Floats, ...]]:
    """The penalty of the least error on the folds that were left out, and the weights without each."""
    errors, parts = np.zeros(len(PENALTIES)), []
    for make in folds:
        fold = make()
        parts.append(_Learnt(whole - fold))
        errors += parts[-1].errors(fold)
    penalty = PENALTIES[int(errors.argmin())]
    return penalty, tuple(part.weights(penalty) for part in parts)


def _estimated(whole: Regression, alone: NDArray[np.bool_]) -> tuple[float, Floats, Floats]:
    """The penalty of the least estimated error of the targets that are alone, the weights, and their optimism."""
    learnt = _Learnt(whole)
    penalty = min(PENALTIES, key=lambda one: learnt.estimated(one, alone))
    return penalty, learnt.weights(penalty), learnt.optimism(penalty, alone)


def _solved(whole: Regression, penalty: float) -> Floats:
    """[D, T], without an eigenbasis: it takes a tenth of the time."""
    cov: Floats = whole.cov_xx
    cov[np.diag_indices_from(cov)] += penalty * max(float(np.trace(cov)) / len(cov), TINY)
    try:
        np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:  # no covariance of any cases
        return _Learnt(whole).weights(penalty)
    return np.linalg.solve(cov, whole.cov_xy).astype(np.float64, copy=False)


class _Learnt:
    """Ridge regressions of every penalty, in the eigenbasis of cov(x)."""

    def __init__(self, learn: Regression) -> None:
        self._known = np.maximum(learn.known, 1.0)
        values, self._vectors = np.linalg.eigh(learn.cov_xx)
        self._values = np.maximum(values, 0.0)
        self._scale = max(float(self._values.mean()), TINY)
        self._xy = self._vectors.T @ learn.cov_xy
        self._var = learn.var_y

    def weights(self, penalty: float) -> Floats:
        """[D, T]."""
        weights: Floats = self._vectors @ self._rotated(penalty)
        return weights

    def errors(self, judge: Regression) -> Floats:
        """Share of the judged cases' variance that is left, times their number, summed over targets; [PENALTIES].

        With f = 1 / (eigenvalue + penalty) the weights are f xy in the eigenbasis, so that the sum over targets is
        a constant - 2 f . a + f^T M f, with a and M the same for every penalty.
        """
        share = self._shares(judge.known)
        a = ((self._vectors.T @ judge.cov_xy) * self._xy) @ share
        m = (self._vectors.T @ judge.cov_xx @ self._vectors) * ((self._xy * share) @ self._xy.T)
        constant = float(judge.var_y @ share)
        factors = [self._factor(penalty) for penalty in PENALTIES]
        return np.array([constant - 2 * f @ a + f @ m @ f for f in factors])

    def estimated(self, penalty: float, of: NDArray[np.bool_]) -> float:
        """The share of the variance that new cases would leave, summed over these targets."""
        return float(self._error(penalty, of)[of] @ self._shares(np.ones(len(self._var)))[of])

    def optimism(self, penalty: float, of: NDArray[np.bool_]) -> Floats:
        """Efron's covariance penalty: the noise's variance times the freedom per case that y is known of, [T]."""
        optimism: Floats = self._error(penalty, of) * self._freedom(penalty) / self._known
        return optimism

    def _error(self, penalty: float, of: NDArray[np.bool_]) -> Floats:
        """Squared error on new cases, [T]: that on its own with twice the optimism, the error taken for the noise.

        y may be known of few of the cases that cov(x) is of, and what is left on its own cases then be below zero: a
        target's share of the variance is drawn half-way to the mean of these targets.
        """
        freedom = 2 * self._freedom(penalty) / self._known
        left = self._left(penalty) * self._shares(np.ones(len(self._var))) / np.maximum(1.0 - freedom, TINY)
        share = np.where(freedom < MOST_FREEDOM, left, 1.0)
        counted = of & (self._var > LEAST_VARIANCE)
        mean = np.average(share[counted], weights=self._known[counted]) if counted.any() else 1.0
        steady: Floats = (1 - COMMON) * share.clip(0.0, 1.0) + COMMON * np.clip(mean, 0.0, 1.0)
        return steady * self._var

    def _shares(self, known: Floats) -> Floats:
        """By target, [T]: what turns a squared error into a share of the variance, times the cases."""
        shares: Floats = np.where(self._var > LEAST_VARIANCE, known / np.maximum(self._var, TINY), 0.0)
        return shares

    def _factor(self, penalty: float) -> Floats:
        factor: Floats = 1.0 / (self._values + penalty * self._scale)
        return factor

    def _rotated(self, penalty: float) -> Floats:
        rotated: Floats = self._xy * self._factor(penalty)[:, None]
        return rotated

    def _left(self, penalty: float) -> Floats:
        """The variance that is left on its own cases, [T]."""
        rotated = self._rotated(penalty)
        fitted = _columns(rotated, self._values[:, None] * rotated)
        left: Floats = self._var - 2 * _columns(rotated, self._xy) + fitted
        return left

    def _freedom(self, penalty: float) -> float:
        """How many parameters the fit effectively has."""
        return 1.0 + float(self._values @ self._factor(penalty))


def _columns(one: Floats, other: Floats) -> Floats:
    """The products of columns, [T]."""
    products: Floats = np.einsum("dt,dt->t", one, other)
    return products


def _out_of_fold(
    folds: Sequence[Make], left_out: Sequence[Floats], optimism: Floats
) -> tuple[Floats, Floats]:
    """The best factor for predictions on cases of other folds, and what they then explain; both [T] in 0..1."""
    with_y, own, var_y, cases = (np.zeros(len(optimism)) for _ in range(4))
    for make, weights in zip(folds, left_out, strict=True):
        fold = make()
        with_y += fold.known * _columns(weights, fold.cov_xy)
        own += fold.known * _columns(weights, fold.cov_xx @ weights)
        var_y += fold.known * fold.var_y
        cases += fold.known
    cases = np.maximum(cases, 1.0)
    with_y, own, var_y = np.maximum(with_y / cases - optimism, 0.0), own / cases, var_y / cases
    gain = np.clip(with_y / np.maximum(own, TINY), 0.0, 1.0)
    explained = (2 * gain * with_y - gain**2 * own) / np.maximum(var_y, TINY)
    return gain, np.clip(explained, 0.0, MOST_EXPLAINED)
