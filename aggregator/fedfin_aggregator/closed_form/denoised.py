"""Second moments with noise in them, made fit to be solved: sums that cases could have.

Nothing here costs any of the privacy budget: it sees what was released, and no case. How large the noise is against the
data need not be known: the two halves of the patients judge each other, as groups of sites do without noise, and where
noise is large a large penalty is best on the other half.
"""

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.model.second_moment_spec import label_moment_name, pack, second_moment_name, unpack
from fedfin.plan import Plan
from fedfin.privacy.contributions import COUNTED, basis_scale
from fedfin_aggregator.closed_form.pooled_moments import Sums
from fedfin_aggregator.fold.fold import Sum

Floats = NDArray[np.float64]

LEAST_CASES = 2.0  # that a half is taken to have, whatever noise says
_ONE = float(2**limits.FRACTION_BITS)
_MOST = 2.0**38  # of a sum of products: half of what an int64 in fixed point holds


def denoised(plan: Plan, sums: Sums) -> Sums:
    """Sums of `fedfin.privacy.contributions` to those of `fedfin.model.second_moment_spec`, weighted by cases.

    The joint matrix of all modalities is projected to the nearest that has no negative eigenvalue.
    """
    gram = _Gram(plan, sums)
    found: dict[str, Sum] = {}
    for one in plan.dims:
        for other in list(plan.dims)[list(plan.dims).index(one) :]:
            block = gram.block(one, other)
            name = second_moment_name("partial", one, other)
            found[name] = _sum(pack(block) if one == other else block, block[0, 0])
        squares = gram.block(one, one)
        labels = _labels(plan, sums, one, squares)
        found[label_moment_name("partial", one)] = _sum(labels, squares[0, 0])
    return found


class _Gram:
    """The sum of z z^T, with z the bases of a case's modalities side by side, zeros for those that it lacks."""

    def __init__(self, plan: Plan, sums: Sums) -> None:
        starts = np.cumsum([0, *(1 + dim for dim in plan.dims.values())])
        self._places = {m: slice(*starts[i : i + 2]) for i, m in enumerate(plan.dims)}
        scale = np.concatenate([basis_scale(dim) for dim in plan.dims.values()])
        self._sums = _positive(self._released(plan, sums)) / np.outer(scale, scale)

    def _released(self, plan: Plan, sums: Sums) -> Floats:
        size = sum(1 + dim for dim in plan.dims.values())
        gram, order = np.zeros((size, size)), list(plan.dims)
        for place, one in enumerate(order):
            for other in order[place:]:
                values = sums[second_moment_name("partial", one, other)].total / _ONE
                block = unpack(values) if one == other else values
                gram[self._places[one], self._places[other]] = block
                gram[self._places[other], self._places[one]] = block.T
        return gram

    def block(self, one: str, other: str) -> Floats:
        """Of two modalities; its first value is how many cases have both: a whole number."""
        block: Floats = self._sums[self._places[one], self._places[other]].copy()
        block[0, 0] = max(np.rint(block[0, 0]), LEAST_CASES if one == other else 0.0)
        return block


def _positive(gram: Floats) -> Floats:
    values, vectors = np.linalg.eigh(gram)
    positive: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return positive


def _labels(plan: Plan, sums: Sums, modality: str, squares: Floats) -> Floats:
    """[labels, 2, D]: over the cases that know a label the basis is taken to be, in the mean, that of all."""
    released = sums[label_moment_name("partial", modality)].total / _ONE
    cases, mean = squares[0, 0], squares[0] / squares[0, 0]
    count = np.clip(released[:, 0, 0] / COUNTED, 1.0, cases)
    known, positive = np.outer(count, mean), released[:, 1] / basis_scale(plan.dims[modality])
    known[:, 0], positive[:, 0] = count, np.clip(positive[:, 0], 0.5, count - 0.5)
    return np.stack([known, positive], axis=1)


def _sum(values: Floats, cases: float) -> Sum:
    return Sum(np.rint(np.clip(values, -_MOST, _MOST) * _ONE).astype(np.int64), int(cases))
