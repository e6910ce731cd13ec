"""A known patient's labels: who has the record reads them off second moments and label products, by least squares."""

import numpy as np

from benchmarks.leakage.people import LABELS, Floats
from benchmarks.leakage.second_moments import RIDGE

COIN = LABELS.index("coin")  # no feature tells of it: whatever is read of it was leaked


def scores(square: Floats, with_labels: Floats, candidates: Floats) -> Floats:
    """How much the coin of each candidate seems to be 1, [n]."""
    known, positive = with_labels[COIN]
    ridge = RIDGE * np.linalg.norm(square, 2)
    signed = 2.0 * positive - known
    found: Floats = candidates @ np.linalg.solve(square + ridge * np.eye(len(square)), signed)
    return found
