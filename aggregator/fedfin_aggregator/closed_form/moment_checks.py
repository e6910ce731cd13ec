"""What cannot be the second moments of any cases is refused before it is folded.

So a site's numbers are those of clipped features of as many cases as it claims, or nearly: what is solved from them
has an answer. That does not make them true: as with deltas, whom to let take part is for the coordinator to judge.

The moments of a part (a population, or one half of it) are one Gram matrix. Write z for the bases of a case's
modalities side by side, with zeros for those that it lacks: the sum of z z^T has n_ab second.{a}.{b} as its blocks,
n_ab being the cases that have both. It has no negative eigenvalue, and no more has that of z with a label beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.model.second_moment_spec import (
    LARGEST,
    OTHER_HALF,
    POPULATIONS,
    Population,
    basis_dim,
    diagonal,
    label_moment_name,
    second_moment_name,
    unpack,
)
from fedfin.plan import Plan

Floats = NDArray[np.float64]
Values = Mapping[str, NDArray[np.float32] | Floats]
Weights = Mapping[str, int]

# What rounding may add to a mean, of its bound and absolutely: that of float32 and of the fold, generously.
SLACK, LEAST = 1e-5, 1e-6
# float32 rounds a value by 2^-24 of it, the fold by 2^-25 (fold/fold.py), so that no eigenvalue of a matrix of n rows
# moves by more than 2^-24 of its Frobenius norm and n 2^-25 (Weyl); a label beside it less than doubles the norm.
ROUNDING = 2.0**-22
# A count of cases that know a label, from a mean in float32, is as near as this to a whole number, or as this part of
# all cases.
FRACTION, FRACTION_PART = 0.25, 2.0**-24


@dataclass(frozen=True)
class _Part:
    """The cases whose moments go together; the names of their tensors, and how many cases are behind each."""

    plan: Plan
    half: str
    population: Population
    weights: Weights

    def __str__(self) -> str:
        return f"{self.half}{self.population}"

    def second(self, one: str, other: str) -> str:
        """The tensor of a pair of modalities."""
        return self.half + second_moment_name(self.population, one, other)

    def labels(self, modality: str) -> str:
        """The tensor of a modality with the labels."""
        return self.half + label_moment_name(self.population, modality)

    def count(self, one: str, other: str) -> int:
        """How many cases have both; 0 where nothing was sent of them."""
        return self.weights.get(self.second(one, other), 0)

    @property
    def held(self) -> list[str]:
        """The modalities that any case has."""
        return [modality for modality in self.plan.dims if self.count(modality, modality)]

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Two modalities that any case has both of, each also with itself."""
        return (pair for pair in combinations_with_replacement(self.held, 2) if self.count(*pair))


def check(plan: Plan, values: Values, weights: Weights) -> None:
    """Judge means of model/second_moment_spec.py, of either half, and the cases behind each. Raises ProtocolError."""
    parts = (
        _Part(plan, half, population, weights) for half in ("", OTHER_HALF) for population in POPULATIONS
    )
    for part in parts:
        _check_counts(part)
        if part.held:
            _check_squares(part, values)
            _check_means(part, values)
            _check_shares(part, values)
            _check_gram(part, values)
            _check_labels(part, values)


def _check_counts(part: _Part) -> None:
    """Complete cases have everything; of the others no more can have both than have either. Labels are of all."""
    for one, other in combinations(part.plan.dims, 2):
        count, own = part.count(one, other), (part.count(one, one), part.count(other, other))
        if not (count == own[0] == own[1] if part.population == "complete" else count <= min(own)):
            name = part.second(one, other)
            raise ProtocolError(f"tensor {name} counts more cases, or fewer, than its modalities have")
    for modality in part.plan.dims:
        name = part.labels(modality)
        if part.weights.get(name, 0) != part.count(modality, modality):
            raise ProtocolError(f"tensor {name} counts other cases than the second moments do")


def _check_squares(part: _Part, values: Values) -> None:
    """The constant is one, and features are clipped."""
    variance = {modality.name: modality.most_variance for modality in part.plan.modalities}
    for one, other in part.pairs:
        name = part.second(one, other)
        squares = diagonal(_floats(values[name])) if one == other else values[name][:1, :1].ravel()
        if squares[0] != 1.0 or squares.min() < 0.0 or squares.max() > LARGEST * variance[one] * (1 + SLACK):
            raise ProtocolError(f"tensor {name} holds mean squares that no clipped features have")


def _check_means(part: _Part, values: Values) -> None:
    """The constant's row holds the means: of complete cases the same ones, whatever it is beside."""
    if part.population != "complete":
        return
    means = {m: _floats(values[part.second(m, m)][: basis_dim(part.plan, m)]) for m in part.held}
    for one, other in combinations(part.held, 2):
        products = _floats(values[part.second(one, other)])
        if not (_alike(products[0], means[other]) and _alike(products[:, 0], means[one])):
            raise ProtocolError(
                f"tensor {part.second(one, other)} holds other means than its modalities have"
            )


def _check_shares(part: _Part, values: Values) -> None:
    """Of a whole number of cases a label is known; they are the same whichever modality one asks of complete cases."""
    shares = {modality: _floats(values[part.labels(modality)][:, :, 0]) for modality in part.held}
    first = shares[part.held[0]]
    for modality, share in shares.items():
        known, positive = share.T
        count = part.count(modality, modality)
        cases = share * count
        whole = (np.abs(cases - np.rint(cases)) <= max(FRACTION, FRACTION_PART * count)).all()
        same = part.population != "complete" or _alike(share, first)
        if not (whole and same) or (positive < 0).any() or (positive > known).any() or (known > 1).any():
            raise ProtocolError(f"tensor {part.labels(modality)} holds shares of labels that are none")


def _check_gram(part: _Part, values: Values) -> None:
    """All modalities together: what goes beyond Cauchy and Schwarz for each two."""
    gram = _gram(part, values)
    gram[np.diag_indices_from(gram)] += _rounding(gram)
    try:
        np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        raise ProtocolError(
            f"the second moments of {part} are those of no cases: a variance is negative"
        ) from None


def _gram(part: _Part, values: Values) -> Floats:
    """The matrix of the first lines, over the most cases of any modality."""
    starts, rows = {}, 0
    for modality in part.held:
        starts[modality] = slice(rows, rows := rows + basis_dim(part.plan, modality))
    most = max(part.count(modality, modality) for modality in part.held)
    gram = np.zeros((rows, rows))
    for one, other in part.pairs:
        block = _floats(values[part.second(one, other)]) * (part.count(one, other) / most)
        block = unpack(block) if one == other else block
        gram[starts[one], starts[other]], gram[starts[other], starts[one]] = block, block.T
    return gram


def _check_labels(part: _Part, values: Values) -> None:
    """A label beside a modality, by its Schur complement: v (square)^-1 v is at most the share of v's cases.

    Of the cases that know the label, of its positives, and of its negatives.
    """
    for modality in part.held:
        square = unpack(_floats(values[part.second(modality, modality)]))
        slack = _rounding(square)
        square[np.diag_indices_from(square)] += slack
        known, positive = np.moveaxis(_floats(values[part.labels(modality)]), 1, 0)
        means = np.concatenate([known, positive, known - positive])
        explained = (means * np.linalg.solve(square, means.T).T).sum(axis=1)
        if (explained > means[:, 0] + slack).any():
            raise ProtocolError(
                f"tensor {part.labels(modality)} holds means that the mean squares do not allow"
            )


def _rounding(square: Floats) -> float:
    """By how much rounding may move an eigenvalue."""
    return ROUNDING * (float(np.linalg.norm(square)) + len(square))


def _alike(one: Floats, other: Floats) -> bool:
    """Means of clipped features, but for rounding."""
    return bool((np.abs(one - other) <= SLACK).all())


def _floats(array: NDArray[np.floating]) -> Floats:
    return array.astype(np.float64, copy=False)
