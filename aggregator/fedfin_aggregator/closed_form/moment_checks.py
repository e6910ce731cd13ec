"""What cannot be the second moments of any cases is refused before it is folded.

So a site's numbers are those of clipped features of as many cases as it claims, or nearly. That does not make them
true: as with deltas, whom to let take part is for the coordinator to judge.
"""

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.model.second_moment_spec import (
    LARGEST,
    OTHER_HALF,
    POPULATIONS,
    Population,
    diagonal,
    label_moment_name,
    pack,
    second_moment_name,
)
from fedfin.plan import Plan

Floats = NDArray[np.float64]
Values = Mapping[str, NDArray[np.float32] | Floats]
Weights = Mapping[str, int]

# What rounding may add to a mean, of its bound and absolutely: that of float32 and of the fold, generously.
SLACK, LEAST = 1e-5, 1e-6


def check(plan: Plan, values: Values, weights: Weights) -> None:
    """Judge means of model/second_moment_spec.py, of either half, and the cases behind each. Raises ProtocolError.

    By Cauchy and Schwarz no mean product exceeds the root of the mean squares' product; counts must fit together.
    """
    for population in POPULATIONS:
        _check_part(plan, "", population, values, weights)
    _check_part(plan, OTHER_HALF, "complete", values, weights)


def _check_part(plan: Plan, half: str, population: Population, values: Values, weights: Weights) -> None:
    names = {pair: half + second_moment_name(population, *pair) for pair in _pairs(plan)}
    roots = {m: _roots(names[m, m], values) for m in plan.dims}
    counts = {m: weights.get(names[m, m], 0) for m in plan.dims}
    for (one, other), name in names.items():
        if name in values:
            _check_count(name, weights[name], counts[one], counts[other], population)
            most = np.outer(roots[one], roots[other])
            most *= (counts[one] * counts[other]) ** 0.5 / weights[name]
            _check_within(name, values[name], pack(most) if one == other else most)
    for modality in plan.dims:
        name = half + label_moment_name(population, modality)
        if name in values:
            if weights[name] != counts[modality]:
                raise ProtocolError(f"tensor {name} counts other cases than the second moments do")
            _check_labels(name, values[name], roots[modality])


def _pairs(plan: Plan) -> list[tuple[str, str]]:
    return list(combinations_with_replacement(plan.dims, 2))


def _roots(name: str, values: Values) -> Floats:
    """Root mean squares of the basis of the modality whose second moments are so named; nothing without them."""
    if name not in values:
        return np.zeros(0)
    squares: Floats = diagonal(values[name].astype(np.float64))
    if squares[0] != 1.0 or squares.min() < 0.0 or squares.max() > LARGEST * (1 + SLACK):
        raise ProtocolError(f"tensor {name} holds mean squares that no clipped features have")
    roots: Floats = np.sqrt(squares)
    return roots


def _check_count(name: str, count: int, one: int, other: int, population: Population) -> None:
    """Complete cases have everything; of the others no more can have both than have either."""
    fits = count == one == other if population == "complete" else count <= min(one, other)
    if not fits:
        raise ProtocolError(f"tensor {name} counts more cases, or fewer, than its modalities have")


def _check_labels(name: str, values: NDArray[np.floating], roots: Floats) -> None:
    """[labels, known or positive, basis]: shares of cases, and means over them."""
    known, positive = values[:, 0, 0], values[:, 1, 0]
    if (positive < 0).any() or (positive > known).any() or (known > 1).any():
        raise ProtocolError(f"tensor {name} holds shares of labels that are none")
    shares = values[:, :, :1].astype(np.float64)
    _check_within(name, values, np.sqrt(shares) * roots)


def _check_within(name: str, values: NDArray[np.floating], most: Floats) -> None:
    if (np.abs(values) > most * (1 + SLACK) + LEAST).any():
        raise ProtocolError(f"tensor {name} holds means that the mean squares do not allow")
