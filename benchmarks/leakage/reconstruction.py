"""Records from second moments alone, by independent component analysis.

Where patients are fewer than dimensions, second moments are X'X of the records X but for a rotation. A record's
features are far from Gaussian, and ICA finds the rotation that makes them so (Hyvarinen, IEEE Trans. Neural Networks
1999: FastICA, symmetric, with tanh).
"""

import numpy as np

from benchmarks.leakage.people import Floats
from benchmarks.leakage.spectrum import Spectrum

MOST_SOURCES = 300  # of the largest variances: more take minutes
FOUND = 0.9  # cosine
_STEPS, _TOLERANCE, _RANK = 200, 1e-5, 1e-6


def reconstruct(seen: Spectrum, patients: int, seed: int) -> Floats:
    """Records but for their sign and length, [sources, d], from the second moments of `patients` of them."""
    rank = int((seen.variances > _RANK * seen.variances[-1]).sum())
    sources = min(patients, rank, MOST_SOURCES)
    white = seen.axes[:, -sources:].T * len(seen.axes) ** 0.5
    centred = white - white.mean(axis=1, keepdims=True)
    values, rotation = np.linalg.eigh(np.atleast_2d(np.cov(centred, bias=True)))
    kept = values > _RANK * values[-1]
    whitened = (rotation[:, kept] / values[kept] ** 0.5).T
    found: Floats = _rotate(whitened @ centred, seed) @ whitened @ white
    return found


def nearest(records: Floats, candidates: Floats) -> Floats:
    """The greatest cosine, of either sign, of each candidate with any reconstructed record, [n]."""
    cosines: Floats = np.abs(_unit(candidates) @ _unit(records).T).max(axis=1)
    return cosines


def _rotate(white: Floats, seed: int) -> Floats:
    """FastICA's rotation of whitened mixtures [sources, samples]."""
    rotation = _orthogonal(np.random.default_rng(seed).normal(size=(len(white), len(white))))
    for _ in range(_STEPS):
        bent = np.tanh(rotation @ white)
        slope = (1.0 - np.square(bent)).mean(axis=1)
        turned = _orthogonal(bent @ white.T / white.shape[1] - slope[:, None] * rotation)
        moved = float(np.abs(np.abs((turned * rotation).sum(axis=1)) - 1.0).max())
        rotation = turned
        if moved < _TOLERANCE:
            break
    return rotation


def _orthogonal(matrix: Floats) -> Floats:
    """(W W')^-1/2 W."""
    values, axes = np.linalg.eigh(matrix @ matrix.T)
    root: Floats = axes / np.maximum(values, 1e-12) ** 0.5 @ axes.T @ matrix
    return root


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
