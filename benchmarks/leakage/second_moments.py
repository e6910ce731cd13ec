"""Membership from second moments: whether a record is within what they span, or they lean towards it."""

import numpy as np

from benchmarks.leakage.listener import Seen
from benchmarks.leakage.people import MODALITY, Floats
from fedfin.model.second_moment_spec import label_moment_name, second_moment_name, unpack

RIDGE = 1e-6  # of the largest eigenvalue: float32 knows no better
SHRINK = 0.1  # of the mean variance, as in whiten.py


def of_features(seen: Seen) -> Floats:
    """Mean outer product of [1, features], [1 + d, 1 + d]."""
    return unpack(seen.values[second_moment_name("complete", MODALITY, MODALITY)])


def with_labels(seen: Seen) -> Floats:
    """Means of [known, known x label] x [1, features], [labels, 2, 1 + d]."""
    return seen.values[label_moment_name("complete", MODALITY)]


def with_constant(standard: Floats) -> Floats:
    """Standardised features [n, d] as their second moments see them, [n, 1 + d]."""
    return np.insert(standard, 0, 1.0, axis=1)


def leverage(square: Floats, usual: Floats, candidates: Floats) -> Floats:
    """By how much less a candidate stands out of these second moments than of usual ones, [n].

    Where patients are fewer than dimensions, a record that was not there stands out of their span altogether.
    """
    found: Floats = _stands_out(usual, candidates) - _stands_out(square, candidates)
    return found


def lean(square: Floats, usual: Floats, candidates: Floats) -> Floats:
    """The first-order test: how the whitened difference from usual second moments looks along a candidate, [n]."""
    variances, axes = np.linalg.eigh(usual)
    scale = (np.maximum(variances, 0.0) + SHRINK * variances.mean()) ** -0.5
    difference = scale[:, None] * (axes.T @ (square - usual) @ axes) * scale
    white = candidates @ axes * scale
    found: Floats = np.einsum("ni,ij,nj->n", white, difference, white, optimize=True)
    return found


def _stands_out(square: Floats, candidates: Floats) -> Floats:
    variances, axes = np.linalg.eigh(square)
    return np.asarray(
        np.square(candidates @ axes) @ (1.0 / (np.maximum(variances, 0.0) + RIDGE * variances[-1]))
    )
