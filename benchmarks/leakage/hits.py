"""How good an attack is: of several tests the better one, picked where it is not judged."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.people import Floats
from fedfin.model.metrics import auc

RIDGE = 10.0  # candidates: how many speak against every weight
_STEPS = 20


def membership(tests: Sequence[Floats], is_member: NDArray[np.bool_]) -> float:
    """AUC on each half of the candidates of the test that is best on the other; the mean of both.

    Each test has a score for each candidate, [n]. The best of several on all of them would be above .5 by chance.
    """
    first = np.arange(len(is_member)) % 2 == 0
    found = [_judged(tests, is_member, picked=half, judged=~half) for half in (first, ~first)]
    return float(np.mean(found))


def joint_membership(tests: Sequence[Floats], is_member: NDArray[np.bool_]) -> float:
    """AUC on each half of the candidates of what is learnt of all tests together on the other; the mean of both.

    By logistic regression on the tests' ranks. Who learns so knows half of the members. A half without members, or of
    members alone, teaches nothing: chance.
    """
    ranks = np.stack([_standard_ranks(scores) for scores in tests], axis=1)
    first = np.arange(len(is_member)) % 2 == 0
    found = [_learnt(ranks, is_member, taught=half) for half in (first, ~first)]
    return float(np.mean(found))


def _learnt(ranks: Floats, is_member: NDArray[np.bool_], *, taught: NDArray[np.bool_]) -> float:
    """AUC on the other half of the candidates; ranks: [n, tests]."""
    if len(set(is_member[taught].tolist())) < 2:
        return 0.5
    weights = _logistic(ranks[taught], is_member[taught].astype(np.float64))
    return area(ranks[~taught] @ weights, is_member[~taught])


def _standard_ranks(scores: Floats) -> Floats:
    """Of mean 0 and deviation 1, whatever tails the scores have."""
    ranks: Floats = np.argsort(np.argsort(scores)).astype(np.float64)
    standard: Floats = (ranks - ranks.mean()) / max(ranks.std(), 0.5)  # which that of two is; of one it is 0
    return standard


def _logistic(rows: Floats, truth: Floats) -> Floats:
    """Weights of [n, d] by Newton's steps; each class counts as much, however many are of it."""
    weights, penalty = np.zeros(rows.shape[1]), RIDGE * np.eye(rows.shape[1])
    counts = np.where(truth == 1, 0.5 / truth.mean(), 0.5 / (1.0 - truth.mean()))
    for _ in range(_STEPS):
        chances = 1.0 / (1.0 + np.exp(-(rows @ weights)))
        slope = rows.T @ (counts * (chances - truth)) + penalty @ weights
        bend = (rows * (counts * chances * (1.0 - chances))[:, None]).T @ rows + penalty
        weights = weights - np.linalg.solve(bend, slope)
    found: Floats = weights
    return found


def area(scores: Floats, is_member: NDArray[np.bool_]) -> float:
    """AUC; one half where there is nobody to tell apart."""
    found = auc(scores, is_member.astype(np.float64))
    return 0.5 if found is None else found


def _judged(
    tests: Sequence[Floats],
    is_member: NDArray[np.bool_],
    *,
    picked: NDArray[np.bool_],
    judged: NDArray[np.bool_],
) -> float:
    best = max(tests, key=lambda scores: area(scores[picked], is_member[picked]))
    return area(best[judged], is_member[judged])
