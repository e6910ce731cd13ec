"""Logistic regression on all modalities side by side, zeros for what is missing, and a column that says so.

Modality dropout: every case is there once as it is, and once with a random part of its modalities hidden.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from benchmarks.study.methods.logistic import Logistic, fit
from benchmarks.study.methods.training_rows import TrainingRows, training_rows


@dataclass(frozen=True)
class IndicatorLogistic:
    """dropout: how likely the second copy of a case loses each of its modalities; it keeps one at least."""

    name: str = "indicator-logistic"
    dropout: float = 0.5

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """A site's copies are its own: no more travels than without."""
        rows = training_rows(federation.sites)
        hidden = _hidden(rows.present, self.dropout, federation.plan.seed)
        columns = np.concatenate(
            [_columns(rows.features, rows.present), _columns(rows.features, hidden)], axis=0
        )
        model = fit(columns, np.tile(rows.labels, (2, 1)), np.tile(rows.fold, 2))
        progress(1.0)
        return _Trained(rows, model)


def _hidden(present: Present, rate: float, seed: int) -> Present:
    draws = np.random.default_rng(seed).random((len(present), len(next(iter(present.values())))))
    there = np.stack(list(present.values()))
    draws = np.where(there, draws, -1.0)
    stays = there & ((draws >= rate) | (draws == draws.max(axis=0)))
    return dict(zip(present, stays, strict=True))


def _columns(features: ByModality, present: Present) -> Floats:
    """[n, dims and indicators]."""
    shown = [values * present[m][:, None] for m, values in features.items()]
    absent = [~present[m][:, None] for m in features]
    return np.concatenate([*shown, *absent], axis=1).astype(np.float32)


class _Trained:
    def __init__(self, rows: TrainingRows, model: Logistic) -> None:
        self._rows, self._model = rows, model

    @property
    def costs(self) -> Costs:
        """Every exchange of weights and of gradients, those that choose the penalty among them."""
        return Costs(self._model.sent, self._model.sent, float(self._model.weights.size))

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]."""
        logits = self._model.logits(_columns(self._rows.standard(features, present), present))
        probability: Floats = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return probability

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:  # noqa: ARG002 the interface
        """It imputes nothing."""
        return {}
