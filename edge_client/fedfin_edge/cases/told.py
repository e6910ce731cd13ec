"""What sums of one group of cases tell together: one taken off another must not be of few patients."""

from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.floor import Floor

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
NEARLY_ONE = 1 - 1e-9


class Told:
    """By modality, the sets of cases over which its features are summed. floor: of all cases, n."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._sets: dict[str, list[Mask]] = {}

    def take(self, held: Mask, modalities: AbstractSet[str]) -> bool:
        """Whether sums over these cases, bool [n], can be told of these modalities, too; then they are."""
        if not self._floor.allows(held) or any(self._isolates(m, [held]) for m in modalities):
            return False
        for modality in modalities:
            self._sets.setdefault(modality, []).append(held)
        return True

    def labels(self, modality: str, held: Mask, labels: Floats) -> Floats:
        """Labels [n, labels], with those unknown, NaN, that must not be told of these cases, bool [n]."""
        below = self._floor.of(held).below(labels[held])
        wanted = np.where(held[:, None] & ~below, labels, np.nan)
        if not self._isolates(modality, _answers(wanted)):
            return wanted
        kept = np.full_like(wanted, np.nan)
        for label in range(wanted.shape[1]):
            more = kept.copy()
            more[:, label] = wanted[:, label]
            if not self._isolates(modality, _answers(more)):
                kept = more
        return kept

    def _isolates(self, modality: str, more: list[Mask]) -> bool:
        return isolates(np.stack([*self._sets.get(modality, []), *more], axis=1), self._floor)


def _answers(labels: Floats) -> list[Mask]:
    """Of whom each label is known, and of whom it is true."""
    return [*(~np.isnan(labels)).T, *(labels == 1).T]


def isolates(sets: Mask, floor: Floor) -> bool:
    """Of sums over sets of cases, bool [n, sets]: whether a combination is of too few patients, who are in the same.

    No sum tells cases apart that are in the same sets: these are one row of a table. A combination of the sums is of
    one row alone where the row is no combination of the others: its leverage is one (Hoaglin and Welsch 1978).
    """
    if floor.least <= 1:
        return False
    rows, row = np.unique(sets, axis=0, return_inverse=True)
    patients = np.bincount(np.unique(np.stack([row.ravel(), floor.patient]), axis=1)[0])
    few = rows.any(axis=1) & (patients < floor.least)
    if not few.any():
        return False
    table = rows.astype(np.float64)
    leverage = np.einsum("ij,jk,ik->i", table, np.linalg.pinv(table.T @ table), table)
    return bool((leverage[few] > NEARLY_ONE).any())
