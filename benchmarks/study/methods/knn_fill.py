"""Missing features from the nearest training cases that have them, then a logistic regression on all modalities.

What a federation would have to share for it: every case's features, with every site that fills in and with whoever
answers, since neighbours are cases. So it is a rival in accuracy and none in privacy; `retrieval` takes public cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from benchmarks.study.methods.logistic import Logistic, fit
from benchmarks.study.methods.training_rows import FOLDS, TrainingRows, training_rows

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class KnnFill:
    """neighbours: the numbers that are tried; the one that fills best in inner folds is taken."""

    name: str = "knn-fill"
    neighbours: tuple[int, ...] = (3, 10, 30)

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Pool, choose the neighbours, fill, fit."""
        rows = training_rows(federation.sites)
        filler = _Filler(rows, _chosen(rows, self.neighbours))
        progress(0.5)
        own = np.arange(len(rows.labels))
        model = fit(filler.columns(rows.features, rows.present, but=own), rows.labels, rows.fold)
        progress(1.0)
        return _Trained(rows, filler, model, len(federation.sites))


class _Filler:
    """From a bank of cases, as TrainingRows."""

    def __init__(self, bank: TrainingRows, count: int) -> None:
        self._bank, self._count = bank, count

    def columns(self, features: ByModality, present: Present, but: NDArray[np.intp] | None = None) -> Floats:
        """All modalities side by side; `but`: the bank's row that each case is, which is not its own neighbour."""
        filled = self.filled(features, present, but)
        shown = [np.where(present[m][:, None], values, filled[m]) for m, values in features.items()]
        return np.concatenate(shown, axis=1).astype(np.float32)

    def filled(
        self, features: ByModality, present: Present, but: NDArray[np.intp] | None = None
    ) -> dict[str, Floats]:
        """The mean of the nearest that have the modality, [n, dim]; zero, its mean, where none is comparable."""
        distance = _distances(features, present, self._bank)
        if but is not None:
            distance[np.arange(len(but)), but] = np.inf
        return {m: self._nearest(distance, m) for m in features}

    def _nearest(self, distance: NDArray[np.float64], modality: str) -> Floats:
        having = np.flatnonzero(self._bank.present[modality])
        to_these, known = distance[:, having], self._bank.features[modality][having]
        chosen = np.argsort(to_these, axis=1, kind="stable")[:, : self._count]
        near = np.isfinite(np.take_along_axis(to_these, chosen, axis=1))
        weights = np.zeros(to_these.shape, np.float32)
        np.put_along_axis(
            weights, chosen, (near / np.maximum(near.sum(axis=1, keepdims=True), 1)).astype(np.float32), 1
        )
        means: Floats = weights @ known
        return means


def _distances(features: ByModality, present: Present, bank: TrainingRows) -> NDArray[np.float64]:
    """[n, bank]: mean squared distance over the modalities that both have; infinite where there is none."""
    shape = len(next(iter(present.values()))), len(bank.labels)
    total, shared = np.zeros(shape), np.zeros(shape)
    for modality, mask in present.items():
        own, known = features[modality], bank.features[modality]
        squares = np.square(own).sum(axis=1)[:, None] + np.square(known).sum(axis=1) - 2 * own @ known.T
        both = mask[:, None] & bank.present[modality]
        total += np.where(both, squares / own.shape[1], 0.0)
        shared += both
    return np.where(shared > 0, total / np.maximum(shared, 1.0), np.inf)


def _chosen(rows: TrainingRows, counts: Sequence[int]) -> int:
    """The number that fills a hidden modality of complete cases with the least error, from cases of other folds."""
    errors = {count: sum(_error(rows, count, fold) for fold in range(FOLDS)) for count in counts}
    return min(errors, key=lambda count: errors[count])


def _error(rows: TrainingRows, count: int, fold: int) -> float:
    judge = rows.having(list(rows.present)) & (rows.fold == fold)
    filler, total = _Filler(_some(rows, rows.fold != fold), count), 0.0
    features = {m: values[judge] for m, values in rows.features.items()}
    for hidden in rows.present:
        shown = {m: np.full(int(judge.sum()), m != hidden) for m in features}
        total += float(
            np.square(filler.filled(features, shown)[hidden] - features[hidden]).mean(axis=1).sum()
        )
    return total


def _some(rows: TrainingRows, kept: NDArray[np.bool_]) -> TrainingRows:
    return TrainingRows(
        {m: values[kept] for m, values in rows.features.items()},
        {m: mask[kept] for m, mask in rows.present.items()},
        rows.labels[kept],
        rows.fold[kept],
        rows.units,
    )


class _Trained:
    def __init__(self, rows: TrainingRows, filler: _Filler, model: Logistic, sites: int) -> None:
        self._rows, self._filler, self._model, self._sites = rows, filler, model, sites

    @property
    def costs(self) -> Costs:
        """All features up from their sites and down to all, then the regression's exchanges."""
        size = FLOAT32 * sum(values.size for values in self._rows.features.values())
        sent = self._model.sent
        looked_at = float(sum(values.size for values in self._rows.features.values()))
        return Costs(size / self._sites + sent, size + sent, looked_at + self._model.weights.size)

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]."""
        logits = self._model.logits(self._filler.columns(self._rows.standard(features, present), present))
        probability: Floats = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probability

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:
        """The neighbours' means, in the encoders' units."""
        filled = self._filler.filled(self._rows.standard(features, present), present)
        return {m: Imputed(self._rows.units.back(m, values)) for m, values in filled.items()}
