"""Membership from means of features and of their squares: whether they lean towards this record.

With the population's covariance: the likelihood ratio of shifted means (Sankararaman et al., Nature Genetics 2009), in
whitened features. Without: whether a record is closer to these means than chance allows.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.leakage.listener import MOMENTS, Seen
from benchmarks.leakage.people import Floats, People
from benchmarks.leakage.spectrum import whitener

Whiteners = tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]


def whiteners(reference: People) -> Whiteners:
    """Of features, and of their squares."""
    features = reference.features.astype(np.float64)
    return whitener(features), whitener(np.square(features))


def closeness(seen: Seen, candidates: People) -> Floats:
    """How close each candidate is to the means, in the deviations that the squares tell, [n]."""
    mean, square = (seen.values[name] for name in MOMENTS)
    deviation = np.maximum(square - np.square(mean), 1e-6 * square + 1e-12) ** 0.5
    found: Floats = -np.square((candidates.features - mean) / deviation).sum(axis=1)
    return found


def likelihood_ratio(seen: Seen, candidates: People, usual: Whiteners) -> Floats:
    """How much likelier each candidate is behind the means, [n]."""
    features = candidates.features.astype(np.float64)
    total = np.zeros(len(candidates))
    for whiten, name, values in zip(usual, MOMENTS, (features, np.square(features)), strict=True):
        total += whiten(values) @ whiten(seen.values[name][None])[0]
    return total
