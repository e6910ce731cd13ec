"""Which training cases a site's moments are of, modality by modality: those that the floor does not withhold."""

import numpy as np

from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Mask
from fedfin_edge.cases.populations import populations


def moment_cases(dataset: Dataset) -> dict[str, Mask]:
    """Of each modality, bool [n].

    Were those in here that second moments withhold, the difference of the two would be theirs.
    """
    train = ~dataset.held_out
    floor, present = dataset.floor.of(train), {m: mask[train] for m, mask in dataset.present.items()}
    kept, found = populations(present, floor), {}
    for modality, held in present.items():
        parts = [cases & held for cases in kept.values()]
        found[modality] = np.zeros(len(dataset), np.bool_)
        found[modality][train] = np.logical_or.reduce([cases & floor.allows(cases) for cases in parts])
    return found
