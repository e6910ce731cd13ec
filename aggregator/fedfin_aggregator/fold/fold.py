"""The fold: a weighted mean per tensor, exact.

Each site's value times its weight is rounded once to a fixed-point integer (24 fraction bits) and summed in int64.
Integer sums do not depend on order, so neither the order of arrival nor a restart nor a split over shards can
change a bit of the result; and it is the arithmetic that secure aggregation wants. Rounding costs at most 2^-25 per
site, before division by the total weight, and 2^-53 of weight times value where these have more bits than float64.

No sum overflows. Of each tensor the fold adds up b_i, the largest magnitude that update i adds, and refuses the update
with which B = b_1 + ... + b_n would exceed 2^63 - 1. Every partial sum of every element, in whatever order, of some of
the updates, with smaller weights, is at most B (the triangle inequality). So a round holds what its values leave room
for: with |value| <= v and W cases B is at most W v 2^24 + n / 2, so that 2^30 cases fit where v < 2^9.

A root's sums may be of more: each shard has what one aggregator can hold. It goes on in Python's integers where the
sum of all could overflow; they are slow, and as exact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.protocol import staleness
from fedfin.secure_sums.fixed_point import MOST, ONE, add_rounded, largest

_SHARE = ONE / staleness.FULL


@dataclass
class Sum:
    """One tensor's sum of weighted values in fixed point, and the sum of the weights.

    `total`: int64, or, of a root's shards whose sum could overflow it, Python's integers in an array of objects.
    """

    total: NDArray[np.int64]
    weight: int


class Fold:
    """The sums of one round, of at most `limit` in weight for each tensor."""

    def __init__(self, limit: int = limits.ROUND_WEIGHT) -> None:
        self.sums: dict[str, Sum] = {}
        self._limit = limit
        self._bounds: dict[str, int] = {}  # B of each tensor

    def add(
        self,
        values: Mapping[str, NDArray[np.floating]],
        weights: Mapping[str, int],
        share: int = staleness.FULL,
    ) -> None:
        """Add one site's tensors, all or none. A weight of 0 adds nothing.

        `share`, of staleness.FULL: what a late update counts. It scales the values, not the weight that the sum is
        divided by: stale news moves the model less.

        Raises ProtocolError when the round's sum could exceed what int64 can hold.
        """
        wanted = {name: weights[name] for name in values if weights[name] > 0}
        scales = {name: weight * share * _SHARE for name, weight in wanted.items()}  # exact: at most 46 bits
        self._check_weights(wanted)
        bounds = self._grown({name: largest(values[name], scale) for name, scale in scales.items()})
        if over := [name for name, bound in bounds.items() if bound > MOST]:
            raise ProtocolError(f"tensor {over[0]}: the round's sum of so many cases could exceed an int64")
        self._bounds |= bounds
        for name, weight in wanted.items():
            if name not in self.sums:
                self.sums[name] = Sum(np.zeros(values[name].shape, np.int64), 0)
            self.sums[name].weight += weight
            add_rounded(self.sums[name].total, values[name], scales[name])

    def merge(self, sums: Mapping[str, Sum]) -> None:
        """Add another fold's sums, all or none; they must not be used any more.

        Raises ProtocolError when they count more cases than a sum can.
        """
        self._check_weights({name: sum_.weight for name, sum_ in sums.items()})
        self._bounds |= self._grown({name: _largest_of(sum_.total) for name, sum_ in sums.items()})
        for name, sum_ in sums.items():
            if name in self.sums:
                known = self.sums[name]
                known.total = (_wide(known.total) if self._bounds[name] > MOST else known.total) + sum_.total
                known.weight += sum_.weight
            else:
                self.sums[name] = sum_

    def _check_weights(self, weights: Mapping[str, int]) -> None:
        for name, weight in weights.items():
            if weight + (self.sums[name].weight if name in self.sums else 0) > self._limit:
                raise ProtocolError(f"tensor {name}: the round's weight would exceed {self._limit}")

    def _grown(self, bounds: Mapping[str, int]) -> dict[str, int]:
        return {name: bound + self._bounds.get(name, 0) for name, bound in bounds.items()}

    def means(self) -> "FoldedMeans":
        """The weighted mean of each tensor that anybody sent."""
        return FoldedMeans(self.sums)


class FoldedMeans(Mapping[str, NDArray[np.float64]]):
    """Each mean is made when it is asked for: all of them at once would be twice the model."""

    def __init__(self, sums: Mapping[str, Sum]) -> None:
        self._sums = sums

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        sum_ = self._sums[name]
        mean: NDArray[np.float64] = np.asarray(sum_.total / (sum_.weight * ONE), np.float64)
        return mean

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def __len__(self) -> int:
        return len(self._sums)


def _largest_of(total: NDArray[np.int64]) -> int:
    """Not abs(): that of the smallest int64 is negative."""
    return max(int(total.max()), -int(total.min())) if total.size else 0


def _wide(total: NDArray[np.int64]) -> NDArray[np.int64]:
    return cast("NDArray[np.int64]", total.astype(object))


def less(sums: Mapping[str, Sum], part: Mapping[str, Sum]) -> dict[str, Sum]:
    """The sums without a part of them, exactly; what nothing is left of is not there."""
    rest = {
        name: Sum(sum_.total - part[name].total, sum_.weight - part[name].weight) if name in part else sum_
        for name, sum_ in sums.items()
    }
    return {name: sum_ for name, sum_ in rest.items() if sum_.weight}


def apply_means(model: Tensors, means: Mapping[str, NDArray[np.float64]], *, replace: bool) -> Tensors:
    """The next model: each mean is added to its tensor, or replaces it (moments are values, not deltas).

    Clipped to what the protocol carries: large deltas, round after round, must not make a model that none can read.
    """
    following = dict(model)
    for name, mean in means.items():
        exact = mean if replace else model[name] + mean
        following[name] = np.clip(exact, -limits.VALUE_ABS, limits.VALUE_ABS).astype(np.float32)
    return following
