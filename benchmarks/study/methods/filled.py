"""What rivals that fill in before they train have in common: filled data, and answers from it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.method import ByModality, Costs, Floats, Imputed, Present, Trained
from benchmarks.study.methods.plan_method import PlanMethod
from fedfin_edge.cases.dataset import Dataset

# Estimates of every modality, [n, dim] in the encoder's units, from what is present.
Estimate = Callable[[ByModality, Present], dict[str, Floats]]

# What most rivals train: nothing is imputed.
ORDINARY = PlanMethod("ordinary", model={"fin": "zero", "answer": "head"})
# What trains on filled data: every modality is there, at training and at a test, so that none is ever hidden, which the
# papers do not do either. Imputed features pass through the columns of real ones, as in the papers.
ON_FILLED = ORDINARY.changed("training", "modality_dropout", 0.0)


def fill(dataset: Dataset, estimated: ByModality) -> Dataset:
    """The dataset with estimates [n, dim] where a modality is missing; cases with nothing at all stay as they are."""
    known = np.logical_or.reduce(list(dataset.present.values()))
    features = {
        m: np.where(dataset.present[m][:, None], values, np.where(known[:, None], estimated[m], 0.0)).astype(
            np.float32
        )
        for m, values in dataset.features.items()
    }
    present: dict[str, NDArray[np.bool_]] = {m: known.copy() for m in dataset.present}
    return replace(dataset, features=features, present=present)


class TrainedFilled:
    """Fills what is missing, then asks a model that has seen filled cases only."""

    def __init__(self, inner: Trained, estimate: Estimate, costs: Costs) -> None:
        self._inner, self._estimate, self.costs = inner, estimate, costs

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]."""
        estimated = self._estimate(features, present)
        whole = {m: np.where(present[m][:, None], values, estimated[m]) for m, values in features.items()}
        everything = {m: np.ones_like(mask) for m, mask in present.items()}
        return self._inner.answer({m: v.astype(np.float32) for m, v in whole.items()}, everything)

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:
        """The estimates."""
        return {m: Imputed(values) for m, values in self._estimate(features, present).items()}


def add(one: Costs, *, up: float = 0.0, down: float = 0.0, multiply_adds: float = 0.0) -> Costs:
    """Costs and some more."""
    return Costs(one.up + up, one.down + down, one.multiply_adds + multiply_adds)
