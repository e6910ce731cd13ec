"""Whom sums over sets of cases tell of alone, when they are added to and taken off each other."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedfin_edge.cases.floor import Floor

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
NEARLY_ONE, HALF = 1 - 1e-9, 0.5 - 1e-9


def isolated(sets: Sequence[Mask], floor: Floor) -> Mask:
    """Of sums over these sets of n cases: which cases, bool [n], a combination is of alone, and of too few patients.

    No sum tells cases apart that are in the same sets: these are one row of a table. A combination of the sums is of
    one row alone where the row is no combination of the others: its leverage is one (Hoaglin and Welsch 1978). So it is
    of all rows that only one patient has: of these together, a combination of the leverages is one. And so of two rows.
    """
    if floor.least <= 1:
        return np.zeros(len(floor.patient), np.bool_)
    rows, row = np.unique(np.stack(sets, axis=1), axis=0, return_inverse=True)
    row = row.ravel()  # some numpy has it in the shape of the table
    of_row, patient = np.unique(np.stack([row, floor.patient]), axis=1)
    patients = np.bincount(of_row, minlength=len(rows))
    few = rows.any(axis=1) & (patients < floor.least)
    if few.any():
        table = rows.astype(np.float64)
        spread = table @ np.linalg.pinv(table.T @ table)
        leverage = (spread * table).sum(axis=1)
        own = few & (patients == 1)
        alone = leverage > NEARLY_ONE
        pairs = list(_pairs(table, spread, leverage, few & ~alone))
        few &= alone
        for pair in pairs:
            few[list(pair)] |= len(np.unique(patient[np.isin(of_row, pair)])) < floor.least
        of_row, patient = of_row[own[of_row]], patient[own[of_row]]
        for one in np.flatnonzero(np.bincount(patient, leverage[of_row]) > NEARLY_ONE):
            mine = of_row[patient == one]
            few[mine] |= np.linalg.eigvalsh(spread[mine] @ table[mine].T)[-1] > NEARLY_ONE
    return np.asarray(few[row])


def _pairs(table: Floats, spread: Floats, leverage: Floats, few: Mask) -> Iterator[tuple[int, int]]:
    """Which two rows, of few patients each, a combination is of together, that is of neither alone.

    The larger eigenvalue of both rows' part of the hat matrix is one: so one of them has at least half of it.
    """
    one, other = np.flatnonzero(few & (leverage > HALF)), np.flatnonzero(few)
    between = spread[one] @ table[other].T
    mean, half = ((leverage[one, None] + sign * leverage[other]) / 2 for sign in (1, -1))
    for at, beside in np.argwhere(mean + np.hypot(half, between) > NEARLY_ONE):
        if one[at] != other[beside]:
            yield one[at], other[beside]


def without_isolating(labels: Floats, sets: Sequence[Mask], floor: Floor) -> Floats:
    """The same labels, [n, labels], with those unknown, NaN, that beside sums over these sets would isolate cases."""
    if not isolated([*sets, *_answers(labels)], floor).any():
        return labels
    kept = np.full_like(labels, np.nan)
    for label in range(labels.shape[1]):
        more = kept.copy()
        more[:, label] = labels[:, label]
        if not isolated([*sets, *_answers(more)], floor).any():
            kept = more
    return kept


def _answers(labels: Floats) -> list[Mask]:
    """Of whom each label is known, and of whom it is true."""
    return [*(~np.isnan(labels)).T, *(labels == 1).T]
