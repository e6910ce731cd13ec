"""Which cases scores are told of: no few alone have their combination of modalities."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Mask

Labels = NDArray[np.float32]


def k_anonymous(plan: Plan, dataset: Dataset, cases: Mask) -> tuple[Mask, Labels]:
    """Of these cases, bool [n], those that scores are told of, and all n cases' labels, NaN where none are.

    Combination of modalities by combination: those that fewer patients have exactly than the floor are left out, and in
    each the labels that the site keeps to itself (Dataset.judged_labels). For sums over all that have some modalities,
    less those over who has one more, are of a combination alone (k-anonymity by modalities: Sweeney 2002).
    """
    kept, labels = np.zeros(len(cases), np.bool_), np.full_like(dataset.labels, np.nan)
    for alike in combinations_of(cases, {modality: dataset.present[modality] for modality in plan.dims}):
        if dataset.floor.allows(alike):
            kept |= alike
            labels[alike] = dataset.judged_labels(alike, summed=plan.privacy.summed)
    return kept, labels


def combinations_of(cases: Mask, present: Mapping[str, Mask]) -> Iterator[Mask]:
    """These cases, bool [n], by which modalities they have: each that some have. present: of n cases, by modality."""
    table = np.stack(list(present.values()), axis=1)
    for combination in np.unique(table[cases], axis=0):
        yield cases & (table == combination).all(axis=1)
