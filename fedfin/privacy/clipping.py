"""What one patient adds to a sum, bounded: of however many cases, and however unusual, its norm is at most so much.

Then in whole steps, so that noise can be exact. Rounding is random and right in the mean: what is small of every
patient must not be lost in the sum. A patient whom rounding made longer than STEPS is scaled down and rounded again, so
that no one's norm is above STEPS, whatever was drawn.
"""

import numpy as np
from numpy.typing import NDArray

from fedfin.privacy.discrete_gaussian import Words, system_words

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

STEPS = 256  # in the norm
MOST_PATIENTS = 2**23 // STEPS  # float32 holds whole numbers to 2^24 exactly: their sum, and as much of noise
_SHRINK = 1 - 1 / 128
_FRACTION = 2.0**-53


def by_patient(contributions: Floats, patients: NDArray[np.int64]) -> Floats:
    """The sum of each patient's cases, [patients, values]. contributions: [cases, values]; patients: [cases]."""
    names, places = np.unique(patients, return_inverse=True)
    sums = np.zeros((len(names), contributions.shape[1]))
    np.add.at(sums, places, contributions)
    return sums


def clipped(contributions: Floats, norm: float) -> Floats:
    """Each row scaled down to an L2 norm of at most `norm`, [patients, values]."""
    norms = np.linalg.norm(contributions, axis=1, keepdims=True)
    shorter: Floats = contributions * np.minimum(1.0, norm / np.maximum(norms, np.finfo(np.float64).tiny))
    return shorter


def in_steps(contributions: Floats, norm: float, words: Words = system_words) -> Integers:
    """Each row clipped to `norm`, in steps of norm / STEPS, its own norm at most STEPS, [patients, values].

    A row with NaN or infinity, which a model that somebody made up may give, is nothing: it has no norm to clip.
    """
    finite = np.isfinite(contributions).all(axis=1, keepdims=True)
    scaled = clipped(np.where(finite, contributions, 0.0), norm) * (STEPS / norm)
    steps = _rounded(scaled, words)
    while len(long := np.flatnonzero(np.square(steps).sum(axis=1) > STEPS**2)):
        scaled[long] *= _SHRINK
        steps[long] = _rounded(scaled[long], words)
    return steps


def _rounded(values: Floats, words: Words) -> Integers:
    """Up or down, by how near either is."""
    draws = (words(values.size) >> np.uint64(11)).astype(np.float64).reshape(values.shape) * _FRACTION
    return np.floor(values + draws).astype(np.int64)
