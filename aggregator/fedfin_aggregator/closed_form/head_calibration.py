"""How head and experts are weighed against each other: solved once from what sites measured on held-out cases.

The head's logits become log-odds by a slope and an intercept (Platt 1999), one for every pattern of shown modalities
and label: within each class a logit is taken to be normal. A label of which few positives were seen gets the slope
that all labels have in common; all labels of a pattern share the head's weight, since a pattern has few held-out cases.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CALIBRATED = ("calibration.slope", "calibration.intercept", "calibration.head_weight")
LEAST = 1e-6
# Pairs of a positive and a negative at which a label's own slope counts half.
PRIOR_PAIRS = 4.0
# Evidence that the head separates the classes at all, at which it weighs half as much as with a lot of it: 30 to 100
# hardly differ, and a weight for each label by its own pairs was worse in eight of ten settings (docs/LOG.md).
PRIOR_EVIDENCE = 60.0
# How many times as much as the experts the head counts where both separate the classes alike: it trains until it stops
# improving, and the experts' separation, inferred over folds, is claimed too high rather than too low. Four to six
# have the least loss on inner splits of most data (docs/LOG.md).
TRUST = 4.0
# Degrees of freedom that the expected variance stands for.
PRIOR_FREEDOM = 10.0


def calibrate(means: Floats, cases: int, power: Floats, prior: Floats) -> dict[str, Floats]:
    """The tensors calibration.slope and .intercept [patterns, labels] and .head_weight [patterns].

    means: [patterns, labels, classes, 5], over `cases` held-out cases: the share that shows the pattern's modalities
    and is of the class; of those the head's logit and its square, and the experts' in deviations and its square.
    power: [patterns, labels], how far the experts separate the classes, in squared deviations; prior: [labels].
    """
    counts, logit, logit_squared, expert, expert_squared = np.moveaxis(cases * means, -1, 0)
    freedom = np.maximum(counts - 1, 0.0)
    mean, head_squares = _about_mean(counts, logit, logit_squared)
    _, expert_squares = _about_mean(counts, expert, expert_squared)
    separation = mean[..., 1] - mean[..., 0]
    # Of all patterns: few cases may happen to agree, and the slope would be enormous.
    overall = head_squares.sum() / max(freedom.sum(), 1.0)
    within = _variance(head_squares.sum(axis=-1), freedom.sum(axis=-1), overall)
    # The effective sample size: the variance of the separation is within / size.
    size = counts[..., 0] * counts[..., 1] / np.maximum(counts.sum(axis=-1), 1.0)
    share = size / np.maximum(size.sum(axis=-1, keepdims=True), LEAST)
    common_within = _variance(head_squares.sum(axis=(-2, -1)), freedom.sum(axis=(-2, -1)), overall)[:, None]
    common = np.maximum(_over_labels(share * separation) / common_within, 0.0)
    own = np.maximum(separation / within, 0.0)
    reliability = size / (size + PRIOR_PAIRS)
    slope = reliability * own + (1 - reliability) * common
    head_weight = _head_weight(
        _over_labels(share * separation / np.sqrt(within)),
        _over_labels(share * np.sqrt(np.maximum(power, 0.0))),
        _over_labels(size),
        _auc_factor(head_squares, freedom) / _auc_factor(expert_squares, freedom),
    )
    return {
        "calibration.slope": slope,
        "calibration.intercept": prior - slope * mean.mean(axis=-1),
        "calibration.head_weight": head_weight[:, 0],
    }


def by_label(in_one: Floats, centres: Floats) -> Floats:
    """What `calibrate` takes, of sums of all labels in one, [patterns, 1, classes, 3], of logits less their centres.

    centres: [patterns, labels]. A label's logits are taken to lie about its own as those of all do about theirs, and
    each label to have its share of the cases. Nothing is told of the experts: they are taken to be normal.
    """
    counts, deviation, square = np.moveaxis(in_one / centres.shape[1], -1, 0)
    shift = centres[..., None]
    moved = [counts, deviation + shift * counts, square + 2 * shift * deviation + np.square(shift) * counts]
    nothing = np.zeros_like(counts)
    return np.stack(np.broadcast_arrays(*moved, nothing, nothing), axis=-1)


def as_learnt(
    solved: dict[str, Floats], measured: NDArray[np.bool_], power: Floats, *, unread: list[int]
) -> dict[str, Floats]:
    """The same, but with the head as it learnt where nobody else would answer what it alone knows.

    So where nothing was measured, bool [patterns, labels], as too few patients have either answer; and of labels of
    which the experts know nothing where the few who calibrate do not show that the head separates the classes: their
    answer would be the prior. There it has the share of these labels; of `unread` patterns it has no say.
    """
    slope, intercept, weight = (solved[name] for name in CALIBRATED)
    alone = power <= LEAST
    kept = measured & ((slope > LEAST) | ~alone)
    weight = np.where(kept.all(axis=-1), weight, np.maximum(weight, alone.mean(axis=-1)))
    weight[unread] = 0.0
    found = np.where(kept, slope, 1.0), np.where(kept, intercept, 0.0), weight
    return dict(zip(CALIBRATED, found, strict=True))


def _about_mean(counts: Floats, total: Floats, square: Floats) -> tuple[Floats, Floats]:
    """Mean, and sum of squares about it; all [patterns, labels, classes]."""
    mean = total / np.maximum(counts, 1.0)
    return mean, np.maximum(square - total * mean, 0.0)


def _head_weight(head: Floats, experts: Floats, size: Floats, factor: Floats) -> Floats:
    """The head's share of the answer, [patterns, 1].

    head, experts: the separation of the classes in deviations, in the mean over labels; the head's is measured with a
    variance of 1 / size. factor: how many times more the head's counts for AUC.
    """
    evidence = np.maximum(size * np.maximum(head, 0.0) ** 2 - 1, 0.0)  # beyond what noise gives in the mean
    reliability = size / (size + PRIOR_PAIRS) * evidence / (evidence + PRIOR_EVIDENCE)
    strength = np.sqrt(evidence / np.maximum(size, LEAST)) * factor
    weight: Floats = reliability * TRUST * strength / np.maximum(TRUST * strength + experts, LEAST)
    return weight


def _auc_factor(squares: Floats, freedom: Floats) -> Floats:
    """How many times further apart two classes are to AUC than the deviation within both says, [patterns, 1].

    AUC goes by the mean of both variances (binormal: Hanley 1988), the deviation within both by that of the negatives,
    which are many. What least squares says of positives varies more than what it says of negatives.
    """
    within = squares.sum(axis=-1, keepdims=True) / np.maximum(freedom.sum(axis=-1, keepdims=True), 1.0)
    known = freedom * (within > LEAST)
    relative = (squares / np.maximum(within, LEAST)).sum(axis=-2)
    mean: Floats = _variance(relative, known.sum(axis=-2), 1.0).mean(axis=-1, keepdims=True)
    return 1.0 / np.sqrt(mean)


def _variance(squares: Floats, freedom: Floats, expected: float) -> Floats:
    """Of squares about their mean and their degrees of freedom, drawn to what is expected."""
    return np.maximum((squares + PRIOR_FREEDOM * expected) / (freedom + PRIOR_FREEDOM), LEAST)


def _over_labels(values: Floats) -> Floats:
    """[patterns, labels] to their sum, [patterns, 1]."""
    total: Floats = values.sum(axis=-1, keepdims=True)
    return total
