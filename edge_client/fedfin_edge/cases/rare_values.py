"""Features in which few patients differ from all others: sums would be of these alone.

Where a feature is zero for everybody but one, as of a category that he alone is of, its sums with labels and with other
features are his labels and his features. The features of a projection all vary; without one many do not.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Floor, Mask
from fedfin_edge.cases.k_anonymity import combinations_of

Features = NDArray[np.float32]

NEARLY = 1e-3  # of a feature's range in a group
FEW_VALUES = 0.1  # of the cases have the same one


def without_rare_values(dataset: Dataset) -> Dataset:
    """Training cases have the commonest value where fewer than limits.LEAST_MERGED patients have others.

    Of those who have the same modalities, of each population of second moments, and of all; half by half, and in both;
    and of those who train the head.
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


def coded_features(dataset: Dataset) -> dict[str, int]:
    """How many features of each modality have few values, as codes and categories have: sums of them are counts.

    Of such a one a tenth of the training cases, three at least, have the same value.
    """
    found = {}
    for modality, present in dataset.present.items():
        values = dataset.features[modality][present & ~dataset.held_out]
        if len(values):
            middle = np.sort(values, axis=0)[(len(values) - 1) // 2]
            alike = (np.abs(values - middle) <= NEARLY * np.ptp(values, axis=0)).sum(axis=0)
            found[modality] = int((alike >= max(limits.LEAST_MERGED, FEW_VALUES * len(values))).sum())
    return found


def _groups(dataset: Dataset) -> list[Mask]:
    """Each once."""
    train, second = ~dataset.held_out, dataset.in_second_half
    complete = train & np.logical_and.reduce(list(dataset.present.values()))
    found: dict[bytes, Mask] = {}
    for cases in (*combinations_of(train, dataset.present), complete, train & ~complete, train):
        for part in (cases & second, cases & ~second, cases, cases & ~dataset.calibration_held_out):
            found.setdefault(part.tobytes(), part)
    return list(found.values())


def _with_commonest(features: Features, cases: Mask, floor: Floor) -> Features:
    """[n, dim]; itself, if there is nothing rare. At least as many patients have the commonest value, and two."""
    values, floor = features[cases], floor.of(cases)
    patients, first = np.unique(floor.patient, return_index=True)
    some = first[: 2 * floor.least - 1]  # of whom most have a value that all but a few have
    commonest = np.sort(values[some], axis=0)[(len(some) - 1) // 2]
    near = NEARLY * np.ptp(values, axis=0)  # a batch of another size may turn the last bits
    other = np.abs(values - commonest) > near
    counted, most_cases = other.sum(axis=0), int(np.unique(floor.patient, return_counts=True)[1].max())
    few = np.flatnonzero((counted > 0) & (counted < floor.least * most_cases))
    behind = np.array([floor.patients(other[:, column]) for column in few], np.int64)
    same = len(patients) - behind
    rare = few[(behind < floor.least) & (behind <= same) & (same > 1)]
    if not len(rare):
        return features
    changed = features.copy()
    changed[np.ix_(cases, rare)] = commonest[rare]
    return changed
