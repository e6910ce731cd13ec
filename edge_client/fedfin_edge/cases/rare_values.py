"""Features in which few patients differ from all others: sums would be of these alone.

Where a feature is zero for everybody but one, as of a category that he alone is of, its sums with labels and with other
features are his labels and his features. The features of a projection all vary; without one many do not.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor, Mask
from fedfin_edge.cases.k_anonymity import combinations_of

Features = NDArray[np.float32]


def without_rare_values(dataset: Dataset) -> Dataset:
    """Training cases have the commonest value where fewer than limits.LEAST_MERGED patients have others.

    Half by half, and in both, of those who have the same modalities: so are second moments told.
    """
    least = min(dataset.least_patients, limits.LEAST_MERGED)
    if least <= 1:
        return dataset
    floor, features = Floor(least, dataset.patient_numbers), dict(dataset.features)
    for cases in _groups(dataset):
        for modality, present in dataset.present.items():
            if (held := cases & present).any():
                features[modality] = _with_commonest(features[modality], held, floor)
    return replace(dataset, features=features)


def _groups(dataset: Dataset) -> Iterator[Mask]:
    for alike in combinations_of(~dataset.held_out, dataset.present):
        yield alike & dataset.in_second_half
        yield alike & ~dataset.in_second_half
        yield alike


def _with_commonest(features: Features, cases: Mask, floor: Floor) -> Features:
    """[n, dim]; itself, if there is nothing rare. At least as many patients have the commonest value, and two."""
    values, floor = features[cases], floor.of(cases)
    patients, first = np.unique(floor.patient, return_index=True)
    some = first[: 2 * floor.least - 1]  # of whom most have a value that all but a few have
    commonest = np.sort(values[some], axis=0)[len(some) // 2]
    other, most_cases = values != commonest, int(np.bincount(np.searchsorted(patients, floor.patient)).max())
    counted = other.sum(axis=0)
    few = np.flatnonzero((counted > 0) & (counted < floor.least * most_cases))
    behind = np.array([floor.patients(other[:, column]) for column in few], np.int64)
    same = len(patients) - behind
    rare = few[(behind < floor.least) & (behind <= same) & (same > 1)]
    if not len(rare):
        return features
    changed = features.copy()
    changed[np.ix_(cases, rare)] = commonest[rare]
    return changed
