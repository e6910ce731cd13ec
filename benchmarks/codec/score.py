"""Macro AUC x 100 of a model on a federation's held-out cases."""

import numpy as np

from benchmarks.codec.federation import Federation, Mask
from fedfin.codec.layout import Tensors
from fedfin.fusion.model import FusionModel
from fedfin.model.metrics import macro_auc
from fedfin_edge.tasks.evaluate import answer


class Scorer:
    """Exact AUCs from scores: a study may see them, the aggregator only sees histograms."""

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._model = FusionModel(federation.plan)

    def as_held(self, model: Tensors) -> float:
        """Every case shows what its site holds: what the federation is for."""
        self._model.load_tensors(model)
        return self._auc(self._federation.as_held)

    def complete(self, model: Tensors) -> float:
        """Every case shows all that was recorded of it."""
        self._model.load_tensors(model)
        return self._auc(self._federation.judge.present)

    def alone(self, model: Tensors) -> float:
        """One modality is shown and the rest imputed; mean over the modalities."""
        self._model.load_tensors(model)
        present = self._federation.judge.present
        hidden = {m: np.zeros_like(mask) for m, mask in present.items()}
        return float(np.mean([self._auc(hidden | {m: mask}) for m, mask in present.items()]))

    def _auc(self, shown: dict[str, Mask]) -> float:
        judge, plan = self._federation.judge, self._federation.plan
        rows = np.flatnonzero(np.logical_or.reduce(list(shown.values())))
        auc = macro_auc(answer(self._model, plan, judge, rows, shown), judge.labels[rows])
        assert auc is not None, "every data set of a study has both classes of some label"
        return 100 * auc
