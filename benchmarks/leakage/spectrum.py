"""Second moments by their eigenvalues: what every attack on them reads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.leakage.people import Floats

RIDGE = 1e-6  # of the largest eigenvalue: float32 knows no better
SHRINK = 0.1  # of the mean variance, added to every one: reference cases may be fewer than dimensions


@dataclass(frozen=True)
class Spectrum:
    """Of a symmetric [d, d]. variances: its eigenvalues, ascending, none below zero; axes: eigenvectors in columns."""

    variances: Floats
    axes: Floats

    def stands_out(self, rows: Floats) -> Floats:
        """How far each of [n, d] is from what the moments span: x' M^-1 x, [n]."""
        inverse = 1.0 / (self.variances + RIDGE * self.variances[-1])
        found: Floats = np.square(rows @ self.axes) @ inverse
        return found

    def solve(self, vector: Floats) -> Floats:
        """M^-1 v, [d]."""
        found: Floats = self.axes @ (vector @ self.axes / (self.variances + RIDGE * self.variances[-1]))
        return found

    def whiten(self, rows: Floats) -> Floats:
        """[n, d] along the axes, in about one deviation each."""
        found: Floats = rows @ self.axes * (self.variances + SHRINK * self.variances.mean()) ** -0.5
        return found


def spectrum(square: Floats) -> Spectrum:
    """Of a symmetric [d, d] without negative eigenvalues but for rounding."""
    variances, axes = np.linalg.eigh(square)
    return Spectrum(np.maximum(variances, 0.0), axes)


def whitener(reference: Floats) -> Callable[[Floats], Floats]:
    """From [n, d] to [n, d], of mean 0 and about unit covariance over the reference cases."""
    mean = reference.mean(axis=0)
    usual = spectrum(np.atleast_2d(np.cov(reference.T)))
    return lambda rows: usual.whiten(rows - mean)
