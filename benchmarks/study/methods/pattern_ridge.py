"""One ridge regression of the labels for each pattern of modalities, of all cases that have at least these.

Closed forms of second moments, which sites add up: the penalty of each is cross-validated as the project's own are.
A pattern that no training case has is answered with the mean of its modalities' own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from benchmarks.study.methods.training_rows import FOLDS, Mask, TrainingRows, training_rows
from fedfin_aggregator.closed_form.pooled_moments import Regression
from fedfin_aggregator.closed_form.ridge import Ridge, fit

Pattern = tuple[str, ...]
FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class PatternRidge:
    """A ridge is solved when a case of its pattern asks for it, from what was sent once."""

    name: str = "pattern-ridge"

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Nothing is trained."""
        progress(1.0)
        return _Trained(training_rows(federation.sites))


class _Trained:
    def __init__(self, rows: TrainingRows) -> None:
        self._rows = rows
        self._solved: dict[Pattern, Ridge | None] = {}

    @property
    def costs(self) -> Costs:
        """Products of all features and labels, of each pattern that cases have; the weights of all, at most."""
        dims, labels = {m: v.shape[1] for m, v in self._rows.features.items()}, self._rows.labels.shape[1]
        held = np.unique(np.stack(list(self._rows.present.values()), axis=1), axis=0)
        sizes = [sum(dims[m] for m, there in zip(dims, row, strict=True) if there) for row in held.tolist()]
        up = sum(size * (size + 1) / 2 + size * labels for size in sizes)
        down = sum(size * labels for size in sizes)
        return Costs(FLOAT32 * up, float(FLOAT32 * down), float(next(iter(dims.values())) * labels))

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Estimates of the labels [n, labels], within 0..1."""
        standard = self._rows.standard(features, present)
        answers = np.full((len(next(iter(present.values()))), self._rows.labels.shape[1]), 0.5)
        for pattern, cases in _patterns(present):
            answers[cases] = self._of_pattern(pattern, {m: standard[m][cases] for m in pattern})
        within: Floats = answers.clip(0.0, 1.0).astype(np.float32)
        return within

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:  # noqa: ARG002 the interface
        """It imputes nothing."""
        return {}

    def _of_pattern(self, pattern: Pattern, standard: ByModality) -> NDArray[np.float64]:
        ridge = self._ridge(pattern)
        if ridge is not None:
            columns = np.concatenate([standard[m] for m in pattern], axis=1)
            estimates: NDArray[np.float64] = (columns - ridge.mean_x) @ ridge.weights + ridge.mean_y
            return estimates
        if len(pattern) == 1:  # nobody has it
            return np.full((len(standard[pattern[0]]), self._rows.labels.shape[1]), 0.5)
        mean: NDArray[np.float64] = np.mean([self._of_pattern((m,), standard) for m in pattern], axis=0)
        return mean

    def _ridge(self, pattern: Pattern) -> Ridge | None:
        if pattern not in self._solved:
            having = self._rows.having(pattern)
            self._solved[pattern] = _fitted(self._rows, pattern, having) if having.any() else None
        return self._solved[pattern]


def _patterns(present: Present) -> Iterator[tuple[Pattern, Mask]]:
    """Every pattern of modalities that cases have, with these cases; none is no pattern."""
    there = np.stack(list(present.values()), axis=1)
    for row in np.unique(there, axis=0):
        if row.any():
            names = tuple(m for m, shown in zip(present, row.tolist(), strict=True) if shown)
            yield names, (there == row).all(axis=1)


def _fitted(rows: TrainingRows, pattern: Pattern, having: Mask) -> Ridge:
    columns = rows.side_by_side(pattern)
    folds = [having & (rows.fold == fold) for fold in range(FOLDS)]
    return fit([_maker(columns[cases], rows.labels[cases]) for cases in folds if cases.any()])


def _maker(columns: Floats, labels: Floats) -> Callable[[], Regression]:
    return lambda: regression(columns, labels)


def regression(columns: Floats, labels: Floats) -> Regression:
    """The sums of labels [n, T], NaN where unknown, on columns [n, D]."""
    x = np.concatenate([np.ones((len(columns), 1)), columns], axis=1).astype(np.float64)
    known, y = ~np.isnan(labels), np.nan_to_num(labels).astype(np.float64)
    return Regression(
        float(len(x)), x.T @ x, x.T @ y, np.square(y).sum(axis=0), known.sum(axis=0).astype(np.float64),
        x.T @ known,
    )  # fmt: skip
