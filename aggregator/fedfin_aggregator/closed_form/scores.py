"""Scores of the labels: from each modality as it is, and from what it tells of each other one.

Score (target, source) is the target's expert, a ridge regression of the labels on the target's basis, read from
the source: for target = source from the features themselves, else from their imputation. All are linear in the
source's basis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import Plan
from fedfin_aggregator.closed_form import ridge
from fedfin_aggregator.closed_form.pooled_moments import Moments
from fedfin_aggregator.closed_form.ridge import Ridge

Floats = NDArray[np.float64]
Pair = tuple[str, str]  # target, source


@dataclass(frozen=True)
class Fitted:
    """A ridge and the folds that had data for it, by their places."""

    ridge: Ridge
    places: tuple[int, ...]

    def without(self, place: int) -> Floats:
        """The weights that the other folds gave; all of them, where this fold had no part in it."""
        if place in self.places:
            return self.ridge.left_out[self.places.index(place)]
        return self.ridge.weights


class Fits:
    """Every regression that the folds have the data for."""

    def __init__(self, plan: Plan, folds: Sequence[Moments]) -> None:
        self.plan, self.folds = plan, folds
        self.experts: dict[str, Fitted] = {}
        self.imputations: dict[Pair, Fitted] = {}
        for source in plan.dims:
            places = tuple(place for place, fold in enumerate(folds) if fold.expert(source).known.any())
            if places:
                makes = [partial(folds[place].expert, source) for place in places]
                self.experts[source] = Fitted(ridge.fit(makes), places)
            for target in plan.dims:
                places = tuple(place for place, fold in enumerate(folds) if fold.cases(source, target))
                if source != target and places:
                    makes = [partial(folds[place].imputation, source, target) for place in places]
                    self.imputations[target, source] = Fitted(ridge.fit(makes), places)

    @property
    def pairs(self) -> list[Pair]:
        """The scores there are."""
        modalities = list(self.plan.dims)
        return [
            (target, source)
            for source in modalities
            for target in modalities
            if target in self.experts and (target == source or (target, source) in self.imputations)
        ]

    def score(self, pair: Pair, place: int | None = None) -> Floats:
        """Weights [D of the source, labels]; with `place` those that the other folds gave."""
        target, source = pair
        expert = self.experts[target]
        weights = expert.ridge.weights if place is None else expert.without(place)
        if target == source:
            return weights
        imputation = self.imputations[pair]
        onto = imputation.ridge.weights if place is None else imputation.without(place)
        score: Floats = (onto * imputation.ridge.gain) @ weights
        return score

    def optimism(self, pair: Pair) -> Floats:
        """By how much the score's covariance with the labels is too high in the folds' moments, [labels]."""
        target, source = pair
        optimism = self.experts[target].ridge.optimism
        if target == source:
            return optimism
        share: Floats = optimism * self.imputations[pair].ridge.explained.mean()
        return share

    def center(self, source: str) -> Floats:
        """[D of the source]: what scores are centred on."""
        return self.experts[source].ridge.mean_x if source in self.experts else self._mean(source)

    def _mean(self, source: str) -> Floats:
        return next(f.ridge.mean_x for (_, s), f in self.imputations.items() if s == source)
