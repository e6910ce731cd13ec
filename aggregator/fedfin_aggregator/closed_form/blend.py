"""How the scores of a case are blended into one logit for each label, for every combination of modalities.

The covariances of the scores with each other and with the labels come from folds that the scores were not learnt
from, so that an expert with few cases behind it gets the little weight that it deserves (stacking: Wolpert, Neural
Networks 1992). The blend of y is then read as a logit: within a class it is taken to be normal, of one variance.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedfin_aggregator.closed_form.score_covariances import LEAST, inferred, inferred_together, measure
from fedfin_aggregator.closed_form.scores import Fits, Pair

Floats = NDArray[np.float64]

COMMON = 0.5  # share of the weights that all labels have in common: few positives say little
STEADY = 1e-3  # of the scores' mean variance, added to each


class Blend:
    """Everything that a pattern of shown modalities needs."""

    def __init__(self, fits: Fits) -> None:
        self._pairs = fits.pairs
        measured = measure(fits)
        self._rate = measured.rate
        self._with_labels = inferred(measured)
        self._together = _positive(inferred_together(measured, self._with_labels))

    @property
    def prior(self) -> Floats:
        """The labels' log-odds, [labels]."""
        return np.log(self._rate / (1 - self._rate))

    def pattern(self, shown: Sequence[str]) -> tuple[dict[Pair, Floats], Floats, Floats]:
        """Weights [labels] by score, bias and power [labels], of the logits; scores read what is shown.

        Scores of what a shown modality tells of another stay where that one is shown, too: of a label that was never
        known beside a modality they are all that it tells. Power: the class separation, squared, in units of the
        variance within a class. Where no score reads what is shown, the logits are those of the labels' rates.
        """
        places = [place for place, (_, source) in enumerate(self._pairs) if source in shown]
        together, with_labels = self._together[np.ix_(places, places)], self._with_labels[places]
        weights = _shared(_stacks(together, with_labels))
        slope, bias, power = self._logit(weights, together, with_labels)
        return {self._pairs[place]: w * slope for place, w in zip(places, weights, strict=True)}, bias, power

    def _logit(self, weights: Floats, together: Floats, with_labels: Floats) -> tuple[Floats, Floats, Floats]:
        """Slope and bias [labels] that make the log-odds of the blend, which is zero in the mean; and power."""
        rate = self._rate
        spread = rate * (1 - rate)
        separation = (
            np.maximum((weights * with_labels).sum(axis=0), 0.0) / spread
        )  # of the two classes' means
        variance = np.einsum("kl,kjl,jl->l", weights, together, weights)
        within = np.maximum(variance - spread * separation**2, 0.1 * variance + LEAST)
        slope = separation / within
        middle = separation * (1 - 2 * rate) / 2
        return slope, self.prior - slope * middle, slope * separation


def _positive(together: Floats) -> Floats:
    """Without the negative eigenvalues that come of covariances over different cases, [scores, scores, labels]."""
    values, vectors = np.linalg.eigh(np.moveaxis(together, 2, 0))
    positive = (vectors * np.maximum(values, 0.0)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return np.moveaxis(positive, 0, 2)


def _stacks(together: Floats, with_labels: Floats) -> Floats:
    """`_stack` of every label, [scores, labels]."""
    weights = np.zeros(with_labels.shape)
    for label in range(with_labels.shape[1]):
        weights[:, label] = _stack(together[..., label], with_labels[:, label])
    return weights


def _stack(together: Floats, with_label: Floats) -> Floats:
    """Weights of the least squared error, none below zero: the worst is left out until none is. [scores]."""
    weights = np.zeros(len(with_label))
    active = [i for i in range(len(with_label)) if together[i, i] > LEAST]
    while active:
        block = together[np.ix_(active, active)]
        steadied = block + (STEADY * np.trace(block) / len(active)) * np.eye(len(active))
        found = np.linalg.solve(steadied, with_label[active])
        if (found >= 0).all():
            weights[active] = found
            break
        active.remove(active[int(np.argmin(found))])
    return weights


def _shared(weights: Floats) -> Floats:
    """[scores, labels], each drawn towards the labels' mean."""
    shared: Floats = (1 - COMMON) * weights + COMMON * weights.mean(axis=1, keepdims=True)
    return shared
