"""Whether a site's labels go with its features as at the other sites: from second moments, before anything is solved.

Per modality and label, a site's two class means differ by d [dim]; the other sites' mean difference w, each site
counting alike, is a direction along which positives lie higher. A site's separation along w, d . w, in its deviations
along w, is large and positive where labels mean the same; about 0 where they are drawn, and below 0 where inverted.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin.model.second_moment_spec import (
    OTHER_HALF,
    POPULATIONS,
    Population,
    label_moment_name,
    second_moment_name,
    unpack,
)
from fedfin.plan import Plan

Floats = NDArray[np.float64]
Values = Mapping[str, NDArray[np.float32]]
Weights = Mapping[str, int]

LEAST = 3.0  # cases of each class, of which a mean is made


@dataclass(frozen=True)
class Classes:
    """Of a modality at a site: `known`, `positive` [labels] count cases; `difference` [labels, dim] of class means."""

    known: Floats
    positive: Floats
    difference: Floats

    @property
    def weight(self) -> Floats:
        """[labels]: so many cases on either side would tell as much; 0 where a class has fewer than LEAST."""
        negative = self.known - self.positive
        enough = np.minimum(self.positive, negative) >= LEAST
        weight: Floats = np.where(enough, self.positive * negative / np.maximum(self.known, 1.0), 0.0)
        return weight


@dataclass(frozen=True)
class Separation:
    """How far the classes of one site lie apart along the others' directions, [labels], and the cases' weight.

    In deviations; where weight is 0, nothing is known.
    """

    by_label: Floats
    weight: Floats

    @property
    def mean(self) -> float:
        """Over labels, in deviations."""
        return float((self.by_label * self.weight).sum() / max(self.total, 1.0))

    @property
    def total(self) -> float:
        """The weight of all labels."""
        return float(self.weight.sum())

    @property
    def error(self) -> float:
        """Of the mean, one standard error."""
        return 1.0 / math.sqrt(max(self.total, 1.0))


def classes(plan: Plan, modality: str, values: Values, weights: Weights) -> Classes | None:
    """Of a site's second moments; None where it has none of the modality."""
    total = np.zeros((len(plan.labels), 2, 1 + plan.dims[modality]))
    for prefix, population in _parts():
        if (name := prefix + label_moment_name(population, modality)) in values:
            total += weights[name] * values[name][:, :, : total.shape[2]].astype(np.float64)
    if not total[:, 0, 0].any():
        return None
    known, positive = total[:, 0, 0], total[:, 1, 0]
    ones = total[:, 1, 1:] / np.maximum(positive, 1.0)[:, None]
    zeros = (total[:, 0, 1:] - total[:, 1, 1:]) / np.maximum(known - positive, 1.0)[:, None]
    return Classes(known, positive, ones - zeros)


def direction(others: list[Classes]) -> Floats:
    """Along which positives lie higher, [labels, dim]: the mean over the sites that know of both classes."""
    both = np.array([other.weight > 0 for other in others])
    differences = np.array([other.difference for other in others])
    mean: Floats = (differences * both[..., None]).sum(axis=0) / np.maximum(both.sum(axis=0), 1)[:, None]
    return mean


def separation(
    plan: Plan, modality: str, own: Classes, along: Floats, values: Values, weights: Weights
) -> Separation:
    """values, weights: the site's second moments."""
    variance = np.einsum(
        "ld,de,le->l", along, _covariance(plan, modality, values, weights), along, optimize=True
    )
    known = variance > 0
    distance = (own.difference * along).sum(axis=1) / np.sqrt(np.where(known, variance, 1.0))
    return Separation(distance, np.where(known, own.weight, 0.0))


def _covariance(plan: Plan, modality: str, values: Values, weights: Weights) -> Floats:
    """Of the features, without the random ones, over all cases that have them, [dim, dim]."""
    size, cases = 1 + plan.dims[modality], 0
    total = np.zeros((size, size))
    for prefix, population in _parts():
        if (name := prefix + second_moment_name(population, modality, modality)) in values:
            total += weights[name] * unpack(values[name].astype(np.float64))[:size, :size]
            cases += weights[name]
    total /= max(cases, 1)
    return total[1:, 1:] - np.outer(total[0, 1:], total[0, 1:])


def _parts() -> Iterator[tuple[str, Population]]:
    return ((prefix, population) for prefix in ("", OTHER_HALF) for population in POPULATIONS)
