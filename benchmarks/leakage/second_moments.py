"""Membership from second moments: whether a record is within what they span, or they lean towards it."""

import numpy as np

from benchmarks.leakage.listener import Seen
from benchmarks.leakage.people import MODALITY, Floats
from benchmarks.leakage.spectrum import Spectrum
from fedfin.model.second_moment_spec import Population, label_moment_name, second_moment_name, unpack


def of_features(seen: Seen) -> Floats:
    """Mean outer product of [1, features], [1 + d, 1 + d]."""
    return unpack(seen.values[second_moment_name(_population(seen), MODALITY, MODALITY)])


def with_labels(seen: Seen) -> Floats:
    """Means of [known, known x label] x [1, features], [labels, 2, 1 + d]."""
    return seen.values[label_moment_name(_population(seen), MODALITY)]


def _population(seen: Seen) -> Population:
    """With noise in the sums all cases are in the one of incomplete ones."""
    complete = second_moment_name("complete", MODALITY, MODALITY) in seen.values
    return "complete" if complete else "partial"


def with_constant(standard: Floats) -> Floats:
    """Standardised features [n, d] as their second moments see them, [n, 1 + d]."""
    return np.insert(standard, 0, 1.0, axis=1)


def leverage(seen: Spectrum, candidates: Floats) -> Floats:
    """How little a candidate stands out of these second moments, [n].

    Where patients are fewer than dimensions, a record that was not there stands out of their span altogether.
    """
    return -seen.stands_out(candidates)


def likelihood_ratio(seen: Spectrum, usual: Spectrum, candidates: Floats) -> Floats:
    """By how much less a candidate stands out of these second moments than of the population's, [n]."""
    return usual.stands_out(candidates) - seen.stands_out(candidates)


def lean(square: Floats, population: Floats, usual: Spectrum, candidates: Floats) -> Floats:
    """The first-order test: how the whitened difference from the population's looks along a candidate, [n].

    usual: the spectrum of `population`.
    """
    difference = usual.whiten(usual.whiten(square - population).T)
    white = usual.whiten(candidates)
    found: Floats = np.einsum("nj,nj->n", white @ difference, white)
    return found
