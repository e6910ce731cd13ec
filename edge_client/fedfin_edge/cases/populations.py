"""Cases by what modalities they have: second moments are of complete ones and of others, and moments of the same."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from fedfin.model.second_moment_spec import Population
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.isolation import Mask, isolated


def populations(present: Mapping[str, Mask], floor: Floor) -> dict[Population, Mask]:
    """Bool [n] each. present: of n cases, by modality.

    Without what the floor withholds: complete cases of too few patients; of the others those that sums over who has a
    modality, or two of them, would tell of alone, and those that have two modalities as too few patients do. Were these
    in the sums of either modality and not in that of both, all together would be the moments of no cases.
    """
    complete = np.logical_and.reduce(list(present.values()))
    partial = ~complete
    while (few := _few(partial, present, floor)).any():
        partial &= ~few
    return {"complete": complete & floor.allows(complete), "partial": partial}


def isolated_by_modalities(cases: Mask, present: Mapping[str, Mask], floor: Floor) -> Mask:
    """Of these cases, bool [n], whom the sums of a modality, over those who have it and another, tell of alone."""
    found = [
        isolated([cases & mask & other for other in present.values()], floor) for mask in present.values()
    ]
    return np.asarray(np.logical_or.reduce(found))


def _few(cases: Mask, present: Mapping[str, Mask], floor: Floor) -> Mask:
    """Of these cases, bool [n], whom sums tell of alone, or who have two modalities, either of which is told of."""
    held = [cases & mask for mask in present.values()]
    pairs = [one & other for one, other in combinations(filter(floor.allows, held), 2)]
    few = [both for both in pairs if not floor.allows(both)]
    return np.asarray(np.logical_or.reduce([isolated_by_modalities(cases, present, floor), *few]))
