"""Second moments of a site's cases: what the closed forms are solved from. numpy only.

Every modality a has its basis [1, features, random features], of `basis_dim` values. A site sends their mean outer
products over its training cases, apart for two populations:

    complete   cases that have every modality of the plan
    partial    all others

    second.{population}.{a}.{b}   E[basis_a basis_b^T] over the population's cases that have both; for a = b the packed
                                  upper triangle. The constant makes means of its first row.
    labels.{population}.{a}       E[known basis_a] and E[known y basis_a] by label, over those that have a

The populations are apart so that regressing one modality on another sees both of its sides on the same cases: with
the moments of different cases the noise of the two does not cancel, and imputed features explain a little less.

Those of complete cases are sent of either half of the patients; the names of the second's begin with OTHER_HALF. The
aggregator puts the halves into different groups: where two sites alone know what modalities have to do with each other,
or one a label, the other half judges what was learnt (docs/method.md). Where that would be more than MOST_BYTES, the
first half is partial, too; where even that is more, or a half is few cases, there are none (docs/LOG.md).

With secure sums all sites are in one group, so that incomplete cases come in halves, too: without them nothing judged
what 8 of 10 sites know (docs/secure-sums.md).
With noise in the sums all cases are partial, and every patient is in one of two halves: each has noise of its own, so
that either judges what was learnt from the other. What tensors hold then is in fedfin/privacy/contributions.py.
"""

import math
from itertools import combinations_with_replacement
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Shape
from fedfin.plan import Plan

Population = Literal["complete", "partial"]
POPULATIONS: tuple[Population, ...] = get_args(Population)
OTHER_HALF = (
    "other_half."  # begins the names of what the complete cases of the second half of a site's patients tell
)
# What a site may send: 1280 + 384 features of one population are 5.7 MB. A plan of which that is more is not begun
# (plan_size.py). Secure sums have two populations in two halves each, whatever a site has.
MOST_BYTES = 6_000_000
# Of a mean square, in the feature's variance: features are clipped to 6 standard deviations (model_spec.py: CLIP), a
# random one is below 2^0.5.
LARGEST = 36.0


def basis_dim(plan: Plan, modality: str) -> int:
    """How many values the basis of a modality has, the constant among them."""
    return 1 + plan.dims[modality] + random_features(plan)[modality]


def random_features(plan: Plan) -> dict[str, int]:
    """How many random features a modality has: all are filled to one level, as far as the plan's total goes.

    So the shortest bend the most, and a site's second moments stay as small whatever its encoders.
    """
    dims = plan.dims
    level = _level(sorted(dims.values()), plan.model.basis_total)
    return {modality: max(0, level - dim) for modality, dim in dims.items()}


def _level(dims: list[int], total: int) -> int:
    """The highest level to which ascending dims can be filled with `total` in all; 0 if that is less than they are."""
    left = total - sum(dims)
    if left < 0:
        return 0
    level = dims[0]
    for count, above in enumerate([*dims[1:], total + level], 1):
        step = min(above - level, left // count)
        level, left = level + step, left - step * count
        if level < above:
            break
    return level


def second_moment_name(population: Population, one: str, other: str) -> str:
    """The tensor of a pair of modalities, in the plan's order."""
    return f"second.{population}.{one}.{other}"


def label_moment_name(population: Population, modality: str) -> str:
    """The tensor of a modality with the labels."""
    return f"labels.{population}.{modality}"


def sent_shapes(plan: Plan) -> dict[str, Shape]:
    """The shape of every tensor that a site may send, by name."""
    if plan.privacy.noised:
        first = _shapes(plan, "partial")
        return first | {OTHER_HALF + name: shape for name, shape in first.items()}
    halved: tuple[Population, ...] = POPULATIONS if plan.privacy.summed else ("complete",)
    halves = (_shapes(plan, population) for population in halved)
    return second_moment_shapes(plan) | {OTHER_HALF + name: s for half in halves for name, s in half.items()}


def least_bytes(plan: Plan) -> int:
    """What a site sends that has every modality and keeps all of its cases in one population, as float32."""
    return np.dtype(np.float32).itemsize * sum(map(math.prod, _shapes(plan, "partial").values()))


def second_moment_shapes(plan: Plan) -> dict[str, Shape]:
    """The shape of every tensor above, by name; those of a second half have the same."""
    return {name: shape for population in POPULATIONS for name, shape in _shapes(plan, population).items()}


def _shapes(plan: Plan, population: Population) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for one, other in combinations_with_replacement(plan.dims, 2):
        rows, columns = basis_dim(plan, one), basis_dim(plan, other)
        shape = (rows * (rows + 1) // 2,) if one == other else (rows, columns)
        shapes[second_moment_name(population, one, other)] = shape
    for modality in plan.dims:
        shapes[label_moment_name(population, modality)] = (len(plan.labels), 2, basis_dim(plan, modality))
    return shapes


def pack(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, n] to its upper triangle [n (n + 1) / 2], row by row."""
    packed: NDArray[np.float64] = symmetric[upper(len(symmetric))]
    return packed


def diagonal(packed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a packed matrix, [n]."""
    n = _side(packed)
    rows = np.arange(n)
    found: NDArray[np.float64] = packed[rows * n - rows * (rows - 1) // 2]
    return found


def unpack(packed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The opposite of `pack`."""
    n = _side(packed)
    full, triangle = np.empty((n, n)), upper(n)
    full[triangle] = packed
    full.T[triangle] = packed
    return full


def upper(n: int) -> NDArray[np.bool_]:
    """The upper triangle as a mask, [n, n]: with indices, unpacking was a fifth of the time to solve."""
    return np.tri(n, dtype=np.bool_).T


def _side(packed: NDArray[np.float64]) -> int:
    """N of the n (n + 1) / 2 values."""
    return (math.isqrt(8 * len(packed) + 1) - 1) // 2
