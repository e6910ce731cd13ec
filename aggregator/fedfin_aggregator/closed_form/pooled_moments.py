"""Pooled second moments (fedfin/model/second_moment_spec.py) as sums that can be added, taken apart and centred.

They stay in the fold's integers, and each becomes floats when it is used: all at once would double the memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.model.second_moment_spec import (
    POPULATIONS,
    Population,
    basis_dim,
    label_moment_name,
    second_moment_name,
    unpack,
)
from fedfin.plan import Plan
from fedfin_aggregator.fold.fold import Sum

Floats = NDArray[np.float64]
Sums = Mapping[str, Sum]  # by name of fedfin/model/second_moment_spec.py
_UNIT = 2.0**-limits.FRACTION_BITS


@dataclass(frozen=True)
class Regression:
    """Sums over n cases from which y [T] is regressed on x [D].

    xx: [1 + D, 1 + D] of [1, x]; xy: [1 + D, T] of [1, x] and y; yy: [T] of y squared. y need not be known of every
    case: `known` [T] counts those that it is known of, and xk [1 + D, T] sums [1, x] over them.
    """

    n: float
    xx: Floats
    xy: Floats
    yy: Floats
    known: Floats
    xk: Floats

    def __sub__(self, other: "Regression") -> "Regression":
        return Regression(
            self.n - other.n,
            self.xx - other.xx,
            self.xy - other.xy,
            self.yy - other.yy,
            self.known - other.known,
            self.xk - other.xk,
        )

    def __add__(self, other: "Regression") -> "Regression":
        return Regression(
            self.n + other.n,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
            self.known + other.known,
            self.xk + other.xk,
        )

    @property
    def mean_x(self) -> Floats:
        """[D]."""
        mean: Floats = self.xx[0, 1:] / self.n
        return mean

    @property
    def mean_y(self) -> Floats:
        """[T], over the cases that y is known of."""
        mean: Floats = self.xy[0] / np.maximum(self.known, 1.0)
        return mean

    @property
    def cov_xx(self) -> Floats:
        """[D, D]."""
        return self.xx[1:, 1:] / self.n - np.outer(self.mean_x, self.mean_x)

    @property
    def cov_xy(self) -> Floats:
        """[D, T], over the cases that y is known of."""
        known = np.maximum(self.known, 1.0)
        cov: Floats = self.xy[1:] / known - (self.xk[1:] / known) * self.mean_y
        return cov

    @property
    def var_y(self) -> Floats:
        """[T]."""
        return np.maximum(self.yy / np.maximum(self.known, 1.0) - self.mean_y**2, 0.0)


class Moments:
    """The sums of one set of cases."""

    def __init__(self, plan: Plan, sums: Sums) -> None:
        self._plan, self._sums = plan, sums

    def cases(self, one: str, other: str) -> float:
        """How many have both (or the one, when it is named twice)."""
        names = (second_moment_name(p, *self._ordered(one, other)) for p in POPULATIONS)
        return float(sum(self._sums[name].weight for name in names if name in self._sums))

    def cross(self, one: str, other: str) -> Floats:
        """Sum of basis_one basis_other^T over the cases that have both, [D_one, D_other]."""
        return sum((self._cross(p, one, other) for p in POPULATIONS), np.zeros(self._shape(one, other)))

    def imputation(self, source: str, target: str) -> Regression:
        """Of the target's basis (without its constant) on the source's, over the cases that have both.

        Of the partial cases either modality's covariance is that of all that have it, about the mean of those that
        have both: with a mean of other cases a variance could come out below zero.
        """
        xx = self._beside(source, target)
        yy = np.diag(self._beside(target, source))[1:]
        xy = self.cross(source, target)[:, 1:]
        n = self.cases(source, target)
        known = np.full(xy.shape[1], n)
        return Regression(n, xx, xy, yy.copy(), known, np.broadcast_to(xx[:, :1], xy.shape))

    def expert(self, modality: str) -> Regression:
        """Of the labels on the modality's basis, over all cases that have it."""
        labels = sum((self._labels(p, modality) for p in POPULATIONS), np.zeros(self._label_shape(modality)))
        xk, xy = labels[:, 0].T, labels[:, 1].T
        return Regression(
            self.cases(modality, modality), self.cross(modality, modality), xy, xy[0], xk[0], xk
        )

    def _beside(self, one: str, other: str) -> Floats:
        total = self._cross("complete", one, one)
        if both := self._count("partial", one, other):
            everyone = self._cross("partial", one, one) / self._count("partial", one, one)
            covariance = everyone - np.outer(everyone[0], everyone[0])
            mean = self._cross("partial", one, other)[:, 0] / both
            total += both * (covariance + np.outer(mean, mean))
        return total

    def _cross(self, population: Population, one: str, other: str) -> Floats:
        first, second = self._ordered(one, other)
        known = self._sums.get(second_moment_name(population, first, second))
        if known is None:
            return np.zeros(self._shape(one, other))
        sums = _floats(known)
        if one == other:
            return unpack(sums)
        return sums if one == first else sums.T

    def _count(self, population: Population, one: str, other: str) -> float:
        known = self._sums.get(second_moment_name(population, *self._ordered(one, other)))
        return 0.0 if known is None else float(known.weight)

    def _labels(self, population: Population, modality: str) -> Floats:
        known = self._sums.get(label_moment_name(population, modality))
        return np.zeros(self._label_shape(modality)) if known is None else _floats(known)

    def _ordered(self, one: str, other: str) -> tuple[str, str]:
        order = list(self._plan.dims)
        first, second = sorted((one, other), key=order.index)
        return first, second

    def _shape(self, one: str, other: str) -> tuple[int, int]:
        return basis_dim(self._plan, one), basis_dim(self._plan, other)

    def _label_shape(self, modality: str) -> tuple[int, int, int]:
        return len(self._plan.labels), 2, self._shape(modality, modality)[0]


def _floats(sum_: Sum) -> Floats:
    floats: Floats = np.multiply(sum_.total, _UNIT, dtype=np.float64)
    return floats


def total(parts: Iterable[Regression]) -> Regression:
    """The sum of at least one."""
    return reduce(Regression.__add__, parts)
