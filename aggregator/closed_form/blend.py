"""How the scores of a case are blended into one logit for each label, for every combination of modalities.

The covariances of the scores with each other and with the labels come from folds that the scores were not learnt
from, so that an expert with few cases behind it gets the little weight that it deserves (stacking: Wolpert, Neural
Networks 1992). The blend of y is then read as a logit: within a class it is taken to be normal, of one variance.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aggregator.closed_form.moments import Moments
from aggregator.closed_form.scores import Fits, Pair

Floats = NDArray[np.float64]

COMMON = 0.5  # share of the weights that all labels have in common: few positives say little
STEADY = 1e-3  # of the scores' mean variance, added to each
ENOUGH = 10.0  # cases of each class
# Times what a source tells by way of a target: few positives can claim any number (docs/LOG.md).
MOST_BEYOND = 3.0
LEAST = 1e-9  # variance
TINY = 1e-12  # against division by zero


class Blend:
    """Everything that a pattern of shown modalities needs."""

    def __init__(self, fits: Fits) -> None:
        self._pairs = fits.pairs
        self._rate = _rate(fits)
        together, self._with_labels, self._beside = _covariances(fits, self._pairs)
        self._together = _positive(together)

    @property
    def prior(self) -> Floats:
        """The labels' log-odds, [labels]."""
        return np.log(self._rate / (1 - self._rate))

    def pattern(self, shown: Sequence[str]) -> tuple[dict[Pair, Floats], Floats, Floats]:
        """Weights [labels] by score, bias and power [labels], of the logits; scores read what is shown.

        Scores of what a shown modality tells of another stay where that one is shown, too: of a label that was never
        known beside a modality they are all that it tells. Power: how far apart the blend holds the classes, in squared
        deviations. Where no score reads what is shown, the logits are those of the labels' rates.
        """
        places = [place for place, (_, source) in enumerate(self._pairs) if source in shown]
        beside = [target != source and target in shown for target, source in (self._pairs[p] for p in places)]
        together = self._together[np.ix_(places, places)]
        with_labels = np.where(np.array(beside)[:, None], self._beside[places], self._with_labels[places])
        weights = _shared(_stacks(together, with_labels))
        slope, bias, power = self._logit(weights, together, with_labels)
        return {self._pairs[place]: w * slope for place, w in zip(places, weights, strict=True)}, bias, power

    def _logit(self, weights: Floats, together: Floats, with_labels: Floats) -> tuple[Floats, Floats, Floats]:
        """Slope and bias [labels] that make the log-odds of the blend, which is zero in the mean; and power."""
        rate = self._rate
        spread = rate * (1 - rate)
        apart = np.maximum((weights * with_labels).sum(axis=0), 0.0) / spread  # of the two classes' means
        variance = np.einsum("kl,kjl,jl->l", weights, together, weights)
        within = np.maximum(variance - spread * apart**2, 0.1 * variance + LEAST)
        slope = apart / within
        middle = apart * (1 - 2 * rate) / 2
        return slope, self.prior - slope * middle, slope * apart


def _rate(fits: Fits) -> Floats:
    """Of each label among the cases that it is known of, [labels]; kept off 0 and 1."""
    regressions = [fold.expert(modality) for fold in fits.folds for modality in fits.experts]
    known = sum((r.known for r in regressions), np.zeros(len(fits.plan.labels)))
    positive = sum((r.xy[0] for r in regressions), np.zeros(len(fits.plan.labels)))
    rate: Floats = (positive + 0.5) / (known + 1.0)
    return rate


def _covariances(fits: Fits, pairs: Sequence[Pair]) -> tuple[Floats, Floats, Floats]:
    """Of scores with each other [scores, scores, labels], and with the labels [scores, labels], out of fold.

    The last are given twice: for where the target is not shown, and for where it is (see `_through_others`).
    """
    labels = len(fits.plan.labels)
    together, cases = np.zeros((len(pairs), len(pairs), labels)), np.zeros((len(pairs), len(pairs), 1))
    with_labels, known = np.zeros((len(pairs), labels)), np.zeros((len(pairs), labels))
    positive = np.zeros((len(pairs), labels))
    sources = list(dict.fromkeys(source for _, source in pairs))
    at = {source: [i for i, (_, s) in enumerate(pairs) if s == source] for source in sources}
    for place, fold in enumerate(fits.folds):
        scores = {s: np.stack([fits.score(pairs[i], place) for i in at[s]], axis=1) for s in sources}
        for one in sources:
            regression = fold.expert(one)
            if regression.n:
                found = np.einsum("dkl,dl->kl", scores[one], regression.cov_xy)
                with_labels[at[one]] += regression.known * found
                known[at[one]] += regression.known
                positive[at[one]] += regression.xy[0]
            for other in sources:
                if count := fold.cases(one, other):
                    block = np.ix_(at[one], at[other])
                    together[block] += count * _between(fold, one, other, scores[one], scores[other])
                    cases[block] += count
    with_labels /= np.maximum(known, 1.0)
    together /= np.maximum(cases, 1.0)
    optimism = np.stack([fits.optimism(pair) for pair in pairs])
    with_labels = np.maximum(with_labels - optimism, 0.0)
    sure = positive * (known - positive) / np.maximum(known, 1.0)
    return together, *_through_others(pairs, together, with_labels, sure)


def _through_others(
    pairs: Sequence[Pair], together: Floats, with_labels: Floats, sure: Floats
) -> tuple[Floats, Floats]:
    """With the labels, where few are known of a source's cases: by way of the modality that it stands in for.

    Given the target, source and label are taken to be independent: cov(score, y) is cov(score, target's own score)
    times the slope of y on the latter. It counts as ENOUGH cases of each class do beside `sure`, those that there are
    [scores, labels]. So a site that never saw a label lends its other modality to those that did.

    Beside the target itself the score would then be worth nothing, however much more the source knows: there it is
    taken times what labels that are known of both say (the second of what is returned).
    """
    absent, beside = with_labels.copy(), with_labels.copy()
    for place, (target, source) in enumerate(pairs):
        if target != source:
            own = pairs.index((target, target))
            slope = with_labels[own] / np.maximum(together[own, own], LEAST)
            through = np.maximum(together[place, own] * slope, 0.0)
            beyond = _beyond(with_labels[place], through, sure[place])
            for filled, value in ((absent, through), (beside, beyond * through)):
                filled[place] = (sure[place] * with_labels[place] + ENOUGH * value) / (sure[place] + ENOUGH)
    return absent, beside


def _beyond(measured: Floats, through: Floats, sure: Floats) -> float:
    """How many times more a source tells of labels than by way of a target: least squares over labels, drawn to 1."""
    drawn = ENOUGH * float((through**2).mean())
    ratio = (float(sure @ (measured * through)) + drawn) / max(float(sure @ through**2) + drawn, TINY)
    return min(max(ratio, 1.0), MOST_BEYOND)


def _between(fold: Moments, one: str, other: str, left: Floats, right: Floats) -> Floats:
    """Covariances of the scores of two sources, [scores of one, scores of the other, labels]."""
    sums = fold.cross(one, other)
    covariance = sums[1:, 1:] / sums[0, 0] - np.outer(sums[1:, 0], sums[0, 1:]) / sums[0, 0] ** 2
    return np.stack([left[..., i].T @ covariance @ right[..., i] for i in range(left.shape[2])], axis=2)


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
