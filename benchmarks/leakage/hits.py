"""How good an attack is: of several tests the better one, picked where it is not judged."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.people import Floats
from fedfin.model.metrics import auc


def membership(tests: Sequence[Floats], is_member: NDArray[np.bool_]) -> float:
    """AUC on each half of the candidates of the test that is best on the other; the mean of both.

    Each test has a score for each candidate, [n]. The best of several on all of them would be above .5 by chance.
    """
    first = np.arange(len(is_member)) % 2 == 0
    found = [_judged(tests, is_member, picked=half, judged=~half) for half in (first, ~first)]
    return float(np.mean(found))


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
