"""Area under the ROC curve: exact from scores, or from histograms that sites may share.

AUC is the chance that a random positive scores higher than a random negative; equal scores count half
(Hanley and McNeil, Radiology 1982). It says nothing where one of the two classes is absent: then it is
None, and a macro average leaves the label out.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """AUC of `scores` [n] for `labels` [n] (1, 0, NaN for unknown); None without both classes.

    Exact, by ranks: tied scores share their mean rank. Raises ValueError for a score that is NaN,
    a label that is not 1, 0 or NaN, and shapes that differ.
    """
    score = np.asarray(scores, dtype=np.float64)
    label = np.asarray(labels, dtype=np.float64)
    _check(score, label, dimensions=1)
    known = ~np.isnan(label)
    score, positive = score[known], label[known] == 1
    positives = int(positive.sum())
    negatives = len(score) - positives
    if not positives or not negatives:
        return None
    wins = float(_mean_ranks(score)[positive].sum()) - positives * (positives + 1) / 2
    return wins / (positives * negatives)


def per_label_auc(scores: ArrayLike, labels: ArrayLike) -> list[float | None]:
    """AUC of each column of `scores` [n, L] for `labels` [n, L] (1, 0, NaN for unknown)."""
    score = np.asarray(scores, dtype=np.float64)
    label = np.asarray(labels, dtype=np.float64)
    _check(score, label, dimensions=2)
    return [auc(score[:, column], label[:, column]) for column in range(score.shape[1])]


def macro_auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """Mean AUC over the labels of `scores` [n, L] that have both classes; None if no label has."""
    return _mean(per_label_auc(scores, labels))


def histogram_auc(histogram: ArrayLike) -> float | None:
    """AUC from counts or fractions [2, bins] of scores, lowest bin first; row 0: negatives, row 1: positives.

    Scores within one bin count as tied, so the result is that of `auc` on binned scores. None without
    both classes. Raises ValueError for a wrong shape and for negative or infinite counts.
    """
    counts = np.asarray(histogram, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != 2:  # noqa: PLR2004 - negatives and positives
        raise ValueError(f"a score histogram has shape [2, bins], not {list(counts.shape)}")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("a score histogram holds counts: finite and not negative")
    negatives, positives = counts
    if not negatives.any() or not positives.any():
        return None
    # Scaled to sum to one: products of tiny fractions would lose digits, those of large counts overflow.
    negative = _fractions(negatives)
    below = np.cumsum(negative) - negative
    share = float(_fractions(positives) @ (below + negative / 2))
    return min(max(share, 0.0), 1.0)


def both_classes(histograms: ArrayLike) -> NDArray[np.bool_]:
    """Which labels of [L, 2, bins] have cases of both, so that they have an AUC, bool [L]."""
    return np.asarray((np.asarray(histograms).sum(axis=-1) > 0).all(axis=-1))


def macro_histogram_auc(histograms: ArrayLike) -> float | None:
    """Mean `histogram_auc` over the labels of [L, 2, bins] that have both classes; None if no label has."""
    counts = np.asarray(histograms, dtype=np.float64)
    if counts.ndim != 3:  # noqa: PLR2004 - labels, classes, bins
        raise ValueError(f"score histograms have shape [labels, 2, bins], not {list(counts.shape)}")
    return _mean(histogram_auc(label) for label in counts)


def _check(scores: NDArray[np.float64], labels: NDArray[np.float64], *, dimensions: int) -> None:
    if scores.ndim != dimensions or scores.shape != labels.shape:
        raise ValueError(
            f"scores {list(scores.shape)} and labels {list(labels.shape)} must have one shape"
            f" of {dimensions} dimension(s)"
        )
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: it has no rank")
    if not np.isin(labels[~np.isnan(labels)], (0, 1)).all():
        raise ValueError("a label must be 1, 0 or NaN (unknown)")


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each value from 1; ties share the mean of their ranks."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(size)
    ranks: NDArray[np.float64] = (last - (size - 1) / 2)[group]
    return ranks


def _fractions(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = counts / counts.max()
    fractions: NDArray[np.float64] = scaled / scaled.sum()
    return fractions


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
