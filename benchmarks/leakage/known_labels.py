"""A known patient's labels: who has the record reads them off second moments and label products, by least squares."""

from benchmarks.leakage.people import LABELS, Floats
from benchmarks.leakage.spectrum import Spectrum

COIN = LABELS.index("coin")  # no feature tells of it: whatever is read of it was leaked


def scores(seen: Spectrum, with_labels: Floats, candidates: Floats) -> Floats:
    """How much the coin of each candidate seems to be 1, [n]."""
    known, positive = with_labels[COIN]
    return candidates @ seen.solve(2.0 * positive - known)
