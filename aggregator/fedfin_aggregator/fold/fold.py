"""The fold: a weighted mean per tensor, exact.

Each site's value times its weight is rounded once to a fixed-point integer (24 fraction bits) and summed in int64.
Integer sums do not depend on order, so neither the order of arrival nor a restart nor a split over shards can
change a bit of the result; and it is the arithmetic that secure aggregation wants. The limits in
fedfin/limits.py keep |sum| below 2^62; rounding costs at most 2^-25 per site, before division by the
total weight.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.protocol import staleness
from fedfin.secure_sums.fixed_point import ONE, add_rounded

_SHARE = ONE / staleness.FULL


@dataclass
class Sum:
    """One tensor's sum of weighted values in fixed point, and the sum of the weights."""

    total: NDArray[np.int64]
    weight: int


class Fold:
    """The sums of one round, of at most `limit` in weight for each tensor."""

    def __init__(self, limit: int = limits.ROUND_WEIGHT) -> None:
        self.sums: dict[str, Sum] = {}
        self._limit = limit

    def add(self, values: Tensors, weights: Mapping[str, int], share: int = staleness.FULL) -> None:
        """Add one site's tensors, all or none. A weight of 0 adds nothing.

        `share`, of staleness.FULL: what a late update counts. It scales the values, not the weight that the sum is
        divided by: stale news moves the model less.

        Raises ProtocolError when the round's total weight would exceed what int64 can hold.
        """
        wanted = {name: weights[name] for name in values if weights[name] > 0}
        self._make_room(wanted)
        for name, weight in wanted.items():
            if name not in self.sums:
                self.sums[name] = Sum(np.zeros(values[name].shape, np.int64), 0)
            self.sums[name].weight += weight
            scale = weight * share * _SHARE  # below 2^44: exact
            add_rounded(self.sums[name].total, values[name], scale)

    def merge(self, sums: Mapping[str, Sum]) -> None:
        """Add another fold's sums, all or none; they must not be used any more. Raises ProtocolError as `add` does."""
        self._make_room({name: sum_.weight for name, sum_ in sums.items()})
        for name, sum_ in sums.items():
            if name in self.sums:
                self.sums[name].total += sum_.total
                self.sums[name].weight += sum_.weight
            else:
                self.sums[name] = sum_

    def _make_room(self, weights: Mapping[str, int]) -> None:
        for name, weight in weights.items():
            if weight + (self.sums[name].weight if name in self.sums else 0) > self._limit:
                raise ProtocolError(f"tensor {name}: the round's weight would exceed {self._limit}")

    def means(self) -> "FoldedMeans":
        """The weighted mean of each tensor that anybody sent."""
        return FoldedMeans(self.sums)


class FoldedMeans(Mapping[str, NDArray[np.float64]]):
    """Each mean is made when it is asked for: all of them at once would be twice the model."""

    def __init__(self, sums: Mapping[str, Sum]) -> None:
        self._sums = sums

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        sum_ = self._sums[name]
        mean: NDArray[np.float64] = sum_.total / (sum_.weight * ONE)
        return mean

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def __len__(self) -> int:
        return len(self._sums)


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
