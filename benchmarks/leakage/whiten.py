"""Features in units of what is usual: a listener knows the distribution from cases of its own."""

from collections.abc import Callable

import numpy as np

from benchmarks.leakage.people import Floats

SHRINK = 0.1  # of the mean variance, added to every one: reference cases may be fewer than dimensions


def whitener(reference: Floats) -> Callable[[Floats], Floats]:
    """From [n, d] to [n, d], of mean 0 and about unit covariance over the reference cases."""
    mean = reference.mean(axis=0)
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(reference.T)))
    scale = (np.maximum(variances, 0.0) + SHRINK * variances.mean()) ** -0.5

    def whiten(values: Floats) -> Floats:
        found: Floats = (values - mean) @ axes * scale
        return found

    return whiten
