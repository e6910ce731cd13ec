"""Late fusion: a logistic regression for each modality, of all cases that have it; what is there is added up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import Federation
from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Progress, Trained
from benchmarks.study.methods.logistic import Logistic, fit
from benchmarks.study.methods.training_rows import TrainingRows, training_rows


@dataclass(frozen=True)
class LateFusion:
    """adds: "logits", with the labels' prior counted once, or "ranks" of the logits among the training cases'.

    Ranks are no probabilities: their calibration means nothing.
    """

    name: str
    adds: Literal["logits", "ranks"]

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Modalities that no site has are left out."""
        rows, models = training_rows(federation.sites), dict[str, Logistic]()
        for done, (modality, mask) in enumerate(rows.present.items(), 1):
            if mask.any():
                models[modality] = fit(rows.features[modality][mask], rows.labels[mask], rows.fold[mask])
            progress(done / len(rows.present))
        return _Trained(rows, models, self.adds)


class _Trained:
    """`sorted_logits`: of the training cases, by modality, [cases, labels]."""

    def __init__(self, rows: TrainingRows, models: Mapping[str, Logistic], adds: str) -> None:
        self._rows, self._models, self._adds = rows, models, adds
        known = np.maximum((~np.isnan(rows.labels)).sum(axis=0) + 2, 1)
        share = (np.nansum(rows.labels, axis=0) + 1) / known
        self._prior = np.log(share / (1 - share)).astype(np.float32)
        self._sorted = {
            m: np.sort(model.logits(rows.features[m][rows.present[m]]), axis=0) for m, model in models.items()
        }

    @property
    def costs(self) -> Costs:
        """Every exchange of weights and of gradients, those that choose the penalty among them."""
        sent = sum(model.sent for model in self._models.values())
        first = next(iter(self._models.values()))
        return Costs(sent, sent, float(first.weights.size))

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels], or the mean rank in 0..1."""
        standard = self._rows.standard(features, present)
        parts = {m: model.logits(standard[m]) for m, model in self._models.items()}
        return self._of_logits(parts, present) if self._adds == "logits" else self._of_ranks(parts, present)

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:  # noqa: ARG002 the interface
        """It imputes nothing."""
        return {}

    def _of_logits(self, parts: Mapping[str, Floats], present: Present) -> Floats:
        total = self._prior + sum(
            (present[m][:, None] * (part - self._prior) for m, part in parts.items()), 0.0
        )
        probability: Floats = (1 / (1 + np.exp(-total))).astype(np.float32)
        return probability

    def _of_ranks(self, parts: Mapping[str, Floats], present: Present) -> Floats:
        there = np.maximum(sum(present[m][:, None].astype(np.int64) for m in parts), 1)
        total = sum(present[m][:, None] * _ranks(part, self._sorted[m]) for m, part in parts.items())
        mean: Floats = (total / there).astype(np.float32)
        return mean


def _ranks(logits: Floats, known: Floats) -> NDArray[np.float64]:
    """The share of known [cases, labels] that is below, [n, labels]."""
    columns = [np.searchsorted(sorted_, own) for sorted_, own in zip(known.T, logits.T, strict=True)]
    return np.stack(columns, axis=1) / len(known)
