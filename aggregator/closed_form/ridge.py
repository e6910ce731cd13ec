"""Ridge regression from second moments alone, its penalty chosen by cross-validation over groups of sites.

A group's squared error under weights W learnt from the others is var(y) - 2 W . cov(x, y) + W^T cov(x) W: it needs no
case, only the group's moments. Where a single group has the data, generalised cross-validation takes its place
(Golub, Heath and Wahba, Technometrics 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.closed_form.moments import Regression, total

Floats = NDArray[np.float64]

# In mean eigenvalues of cov(x). The best of the studied data sets lie between 0.03 and 30.
PENALTIES = tuple(10.0 ** (k / 2) for k in range(-5, 5))
MOST_EXPLAINED = 0.999  # so that no estimate claims to be exact


@dataclass(frozen=True)
class Ridge:
    """What was learnt of T targets from D inputs.

    weights: [D, T] for centred x; mean_x: [D]; mean_y: [T];
    left_out: for each fold the weights that the others gave; of a single fold, its own;
    optimism: [T], by how much cov(prediction, y) on the fold's own cases exceeds that on new ones; zero where there
    are several folds;
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


def fit(folds: Sequence[Regression]) -> Ridge:
    """Fit all targets with one penalty. There is at least one fold, and each has cases."""
    whole = total(folds)
    own = _Part(whole, whole)
    if len(folds) > 1:
        parts = [_Part(whole - fold, fold) for fold in folds]
        penalty = min(PENALTIES, key=lambda penalty: sum(part.error(penalty) for part in parts))
        optimism = np.zeros(len(whole.yy))
    else:
        parts = [own]
        penalty = min(PENALTIES, key=own.gcv)
        optimism = own.optimism(penalty)
    left_out = tuple(part.weights(penalty) for part in parts)
    gain, explained = _out_of_fold(folds, left_out, optimism)
    weights = own.weights(penalty)
    return Ridge(weights, whole.mean_x, whole.mean_y, penalty, left_out, optimism, gain, explained)


class _Part:
    """One fold's part in the cross-validation: learnt from `learn`, judged on `judge`, in the eigenbasis of `learn`."""

    def __init__(self, learn: Regression, judge: Regression) -> None:
        self._n = learn.n
        values, self._vectors = np.linalg.eigh(learn.cov_xx)
        self._values = np.maximum(values, 0.0)
        self._scale = max(float(self._values.mean()), 1e-12)
        self._xy = self._vectors.T @ learn.cov_xy
        self._var = np.maximum(learn.var_y, 1e-12)
        self._judge_xx = self._vectors.T @ judge.cov_xx @ self._vectors
        self._judge_xy = self._vectors.T @ judge.cov_xy
        self._judge_yy, self._known = judge.var_y, judge.known

    def weights(self, penalty: float) -> Floats:
        """[D, T]."""
        weights: Floats = self._vectors @ self._rotated(penalty)
        return weights

    def error(self, penalty: float) -> float:
        """Share of the judged cases' variance that is left, times their number, summed over targets."""
        rotated = self._rotated(penalty)
        fitted = _columns(rotated, self._judge_xx @ rotated)
        squared = self._judge_yy - 2 * _columns(rotated, self._judge_xy) + fitted
        return float((self._known * squared / self._var).sum())

    def gcv(self, penalty: float) -> float:
        """The generalised cross-validation on its own cases, summed over targets."""
        room = max(1.0 - self._freedom(penalty) / self._n, 1e-3)
        return float((self._left(penalty) / self._var).sum() / room**2)

    def optimism(self, penalty: float) -> Floats:
        """Efron's covariance penalty (JASA 2004): the noise's variance times the freedom per case, [T]."""
        share = min(self._freedom(penalty) / self._n, 0.999)
        optimism: Floats = self._left(penalty) / (1.0 - share) * share
        return optimism

    def _rotated(self, penalty: float) -> Floats:
        rotated: Floats = self._xy / (self._values + penalty * self._scale)[:, None]
        return rotated

    def _left(self, penalty: float) -> Floats:
        """The variance that is left on its own cases, [T]."""
        rotated = self._rotated(penalty)
        fitted = _columns(rotated, self._values[:, None] * rotated)
        return np.maximum(self._var - 2 * _columns(rotated, self._xy) + fitted, 0.0)

    def _freedom(self, penalty: float) -> float:
        """How many parameters the fit effectively has."""
        return 1.0 + float((self._values / (self._values + penalty * self._scale)).sum())


def _columns(one: Floats, other: Floats) -> Floats:
    """The products of columns, [T]."""
    products: Floats = np.einsum("dt,dt->t", one, other)
    return products


def _out_of_fold(
    folds: Sequence[Regression], left_out: Sequence[Floats], optimism: Floats
) -> tuple[Floats, Floats]:
    """The best factor for predictions on cases of other folds, and what they then explain; both [T] in 0..1."""
    cases = np.maximum(sum(fold.known for fold in folds), 1.0)
    pairs = list(zip(folds, left_out, strict=True))
    with_y = sum(fold.known * _columns(w, fold.cov_xy) for fold, w in pairs) / cases
    own = sum(fold.known * _columns(w, fold.cov_xx @ w) for fold, w in pairs) / cases
    var_y = sum(fold.known * fold.var_y for fold in folds) / cases
    with_y = np.maximum(with_y - optimism, 0.0)
    gain = np.clip(with_y / np.maximum(own, 1e-12), 0.0, 1.0)
    explained = (2 * gain * with_y - gain**2 * own) / np.maximum(var_y, 1e-12)
    return gain, np.clip(explained, 0.0, MOST_EXPLAINED)
