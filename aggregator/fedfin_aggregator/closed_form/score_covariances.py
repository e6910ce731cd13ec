"""What scores have to do with each other and with the labels: measured out of fold, inferred where that says little.

A score (target, source) reads the target's expert from the source. Where few of the source's cases know a label, its
covariance with it is inferred from that with the target's own score, and from what is known of other labels. Where few
cases have two sources, their scores' covariance is inferred from those with the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin_aggregator.closed_form.pooled_moments import Moments
from fedfin_aggregator.closed_form.scores import Fits, Pair

Floats = NDArray[np.float64]

PRIOR_CASES = 10.0  # effective sample size that an inferred covariance counts as
LEAST = 1e-9  # variance


@dataclass(frozen=True)
class Measured:
    """Of K scores and L labels, on cases of folds that the scores were not learnt from.

    together: [K, K, L], covariances of the scores; with_labels: [K, L], with the labels; rate: [L], of positives;
    cases: [K, K], those that have the sources of both scores; known, positive: [K, L], how many of a score's source
    know a label, and have it.
    """

    pairs: Sequence[Pair]
    together: Floats
    with_labels: Floats
    rate: Floats
    cases: Floats
    known: Floats
    positive: Floats

    @property
    def effective_cases(self) -> Floats:
        """[K, L]: effective sample size: one over the variance of the class means' difference, in units within them."""
        effective: Floats = self.positive * (self.known - self.positive) / np.maximum(self.known, 1.0)
        return effective

    @property
    def most(self) -> Floats:
        """[K, L]: the covariance with a label that the score predicts exactly."""
        variances = np.maximum(np.einsum("kkl->kl", self.together), LEAST)
        most: Floats = np.sqrt(variances * self.rate * (1 - self.rate))
        return most

    def own(self, place: int) -> int:
        """The place of the score that a target's expert gives of the target itself."""
        target, _ = self.pairs[place]
        return self.pairs.index((target, target))

    def unknown(self, place: int) -> Floats:
        """[L]: the share of cases of source and target that do not know a label, of whichever of the two is rarer."""
        target, source = self.pairs[place]
        of = min(
            (self.pairs.index((m, m)) for m in (target, source) if (m, m) in self.pairs),
            key=lambda own: self.cases[own, own],
        )
        share: Floats = 1 - self.known[of] / max(self.cases[of, of], 1.0)
        return share


def measure(fits: Fits) -> Measured:
    """All scores on the folds' cases, by the weights that the other folds gave."""
    pairs, labels = fits.pairs, len(fits.plan.labels)
    together, cases = np.zeros((len(pairs), len(pairs), labels)), np.zeros((len(pairs), len(pairs)))
    with_labels, known, positive = (np.zeros((len(pairs), labels)) for _ in range(3))
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
    optimism = np.stack([fits.optimism(pair) for pair in pairs])
    return Measured(
        pairs,
        together / np.maximum(cases, 1.0)[..., None],
        np.maximum(with_labels / np.maximum(known, 1.0) - optimism, 0.0),
        _rate(fits),
        cases,
        known,
        positive,
    )


def inferred(measured: Measured) -> Floats:
    """Covariances with the labels, [K, L].

    What was measured counts by its effective sample size; what is inferred, beside it, by PRIOR_CASES.

    By way of the target: given the target, source and label are taken to be independent. So a site that never saw a
    label lends its other modality to those that did.

    So far as cases of both do not know a label, a score is taken to predict it as it predicts others, if that is more.
    Not so where they know it and have no positives: of those the imputation has seen none either.
    """
    found = measured.with_labels.copy()
    for place, (target, source) in enumerate(measured.pairs):
        if target != source:
            known, cases = measured.with_labels[place], measured.effective_cases[place]
            unknown = measured.unknown(place)
            through = _through(measured, place)
            more = np.maximum(_as_others(measured, place, through) - through, 0.0)
            expected = through + unknown * more
            found[place] = (cases * known + PRIOR_CASES * expected) / (cases + PRIOR_CASES)
    return found


def inferred_together(measured: Measured, with_labels: Floats) -> Floats:
    """Covariances of the scores with each other, [K, K, L]; with_labels: [K, L], as `inferred`.

    Of sources that no case has both of, scores are taken to be independent within a class: what they have in common is
    the label. Taken for uncorrelated, complete cases were far too sure beside others (docs/LOG.md).
    What was measured counts by its cases; what is inferred, beside it, by PRIOR_CASES.
    """
    between = with_labels[:, None] * with_labels[None] / (measured.rate * (1 - measured.rate))
    sources = [source for _, source in measured.pairs]
    prior = np.where(np.equal.outer(sources, sources), 0.0, PRIOR_CASES)[..., None]
    cases = measured.cases[..., None]
    together: Floats = (cases * measured.together + prior * between) / np.maximum(cases + prior, 1.0)
    return together


def _through(measured: Measured, place: int) -> Floats:
    """By way of the target, [L]: cov(score, target's own score) times the slope of the label on the latter."""
    own = measured.own(place)
    slope = measured.with_labels[own] / np.maximum(measured.together[own, own], LEAST)
    through: Floats = np.maximum(measured.together[place, own] * slope, 0.0)
    return through


def _as_others(measured: Measured, place: int, through: Floats) -> Floats:
    """As labels that are known, [L]: by as much more than by way of the target, or as well in the mean.

    In correlations, and whichever is more. Both are drawn to what goes by way of the target.
    """
    cases, most = measured.effective_cases[place], measured.most[place]
    by_way, correlation = through / most, measured.with_labels[place] / most
    counted = float(cases.sum()) + PRIOR_CASES
    more = float(cases @ (correlation - by_way)) / counted
    mean = (float(cases @ correlation) + PRIOR_CASES * float(by_way.mean())) / counted
    as_others: Floats = np.maximum(by_way + more, mean) * most
    return as_others


def _rate(fits: Fits) -> Floats:
    """Of each label among the cases that it is known of, [labels]; kept off 0 and 1."""
    regressions = [fold.expert(modality) for fold in fits.folds for modality in fits.experts]
    known = sum((r.known for r in regressions), np.zeros(len(fits.plan.labels)))
    positive = sum((r.xy[0] for r in regressions), np.zeros(len(fits.plan.labels)))
    rate: Floats = (positive + 0.5) / (known + 1.0)
    return rate


def _between(fold: Moments, one: str, other: str, left: Floats, right: Floats) -> Floats:
    """Covariances of the scores of two sources, [scores of one, scores of the other, labels]."""
    sums = fold.cross(one, other)
    covariance = sums[1:, 1:] / sums[0, 0] - np.outer(sums[1:, 0], sums[0, 1:]) / sums[0, 0] ** 2
    return np.stack([left[..., i].T @ covariance @ right[..., i] for i in range(left.shape[2])], axis=2)
