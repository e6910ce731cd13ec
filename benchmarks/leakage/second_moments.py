"""Membership from second moments: whether a record is within what they span, or they lean towards it."""

from collections.abc import Sequence

import numpy as np

from benchmarks.leakage.listener import Seen
from benchmarks.leakage.people import MODALITY, Floats
from benchmarks.leakage.spectrum import Spectrum
from fedfin.model.second_moment_spec import (
    OTHER_HALF,
    Population,
    label_moment_name,
    second_moment_name,
    unpack,
)


def whole(seen: Seen) -> Seen:
    """All patients' sums, where those of two halves are seen."""
    parts = halves(seen)
    if len(parts) == 1:
        return parts[0]
    one, other = parts
    weights = {name: one.weights[name] + other.weights[name] for name in one.values}
    values = {
        name: (one.weights[name] * one.values[name] + other.weights[name] * other.values[name])
        / weights[name]
        for name in weights
    }
    return Seen(values, weights)


def halves(seen: Seen) -> list[Seen]:
    """Sums that are seen apart: those of either half of the patients, or all in one."""
    parts = [
        {name.removeprefix(OTHER_HALF): name for name in seen.values if name.startswith(OTHER_HALF) == second}
        for second in (False, True)
    ]
    return [
        Seen(
            {n: seen.values[name] for n, name in part.items()},
            {n: seen.weights[name] for n, name in part.items()},
        )
        for part in parts
        if part
    ]


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


TINY = 1e-12


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


def unlike(halves_: Sequence[Spectrum], candidates: Floats) -> Floats:
    """How unlike a candidate stands out of the second moments of the one half and of the other's, [n].

    A member stands out less of its own half's. The larger of both, where there are many patients; who is in neither
    stands out of both alike.
    """
    one, other = (half.stands_out(candidates) for half in halves_)
    found: Floats = np.abs(np.log(np.maximum(one, TINY) / np.maximum(other, TINY)))
    return found
