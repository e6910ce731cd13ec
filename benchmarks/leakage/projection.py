"""From an encoder's features to few dimensions, by principal axes of cases that are nobody's patients."""

from collections.abc import Callable

import numpy as np

from benchmarks.leakage.people import Floats, People

Projection = Callable[[People], People]


def principal_axes(reference: People, dims: int) -> Projection:
    """The first `dims` axes of the reference cases' standardised features; as many as there are: no projection."""
    if dims >= reference.features.shape[1]:
        return lambda people: people
    mean, std = reference.features.mean(axis=0), reference.features.std(axis=0) + 1e-6
    standard: Floats = ((reference.features - mean) / std).astype(np.float64)
    axes = np.linalg.svd(standard, full_matrices=False)[2][:dims].T.astype(np.float32)

    def project(people: People) -> People:
        return People((people.features - mean) / std @ axes, people.labels)

    return project
