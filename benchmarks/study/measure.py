"""How good answers and estimates are: AUC, calibration, imputed features, and the variance claimed for them."""

from collections.abc import Mapping
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.method import Floats, Imputed
from fedfin.model.metrics import per_label_auc

LEAST = 5  # with one positive, one case would move the mean over six labels by up to 17 points
BINS = 15  # of equal width, as in Guo et al., ICML 2017, arXiv 1706.04599
NINETY = 1.6448536269514722  # standard deviations to either side hold 90 % of a normal distribution
# A feature of no more variance is constant, of its mean square or absolutely: what the model, too, takes for none
# (fedfin/fusion/model.py). Three features of MiniLM have deviations below 1e-8: any error would be all there is.
RELATIVE_FLOOR, FLOOR = 1e-6, 1e-12

Figures = dict[str, float | None]
Mask = NDArray[np.bool_]


def auc_figures(probability: Floats, labels: Floats) -> tuple[float | None, list[float | None]]:
    """Macro AUC x 100, and that of every label; None where one of a label's classes has fewer than LEAST cases."""
    enough = np.minimum((labels == 0).sum(axis=0), (labels == 1).sum(axis=0)) >= LEAST
    scores = [
        100 * value if value is not None and often else None
        for value, often in zip(per_label_auc(probability, labels), enough, strict=True)
    ]
    known = [value for value in scores if value is not None]
    return (fmean(known) if known else None), scores


def calibration_error(probability: Floats, labels: Floats) -> float | None:
    """Expected calibration error x 100 (Naeini et al., AAAI 2015), mean over the labels that have a known case.

    Of a label: how far, in the mean over cases, the mean probability of their bin is from its share of positives.
    Both [n, labels]; NaN labels are unknown.
    """
    errors = []
    for column, truth in zip(probability.T.astype(np.float64), labels.T, strict=True):
        known = ~np.isnan(truth)
        if known.any():
            bins = np.minimum((column[known] * BINS).astype(np.int64), BINS - 1)
            gaps = np.bincount(bins, weights=column[known] - truth[known], minlength=BINS)
            errors.append(100 * float(np.abs(gaps).sum()) / int(known.sum()))
    return fmean(errors) if errors else None


def imputation_figures(
    imputed: Mapping[str, Imputed], truth: Mapping[str, Floats], shown: Mapping[str, Mask]
) -> Figures:
    """How near estimates of what is not shown come to what was recorded; mean over the modalities that are hidden.

    In units of the judge's deviation from the judge's mean, feature by feature, constant features left out:
    cosine: of estimate and truth, mean over cases; explained: 1 - squared error / variance, of all features together;
    claimed: squared error / claimed variance, 1 where the claim is right; covered: the share of features within the
    interval that the claim gives 90 %. Empty where nothing is imputed; the last two are absent where none is claimed.
    """
    found: dict[str, list[float]] = {}
    for modality, estimate in imputed.items():
        hidden = ~shown[modality]
        if hidden.any():
            for name, value in _of_modality(estimate, truth[modality], hidden).items():
                found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}


def _of_modality(estimate: Imputed, truth: Floats, hidden: Mask) -> dict[str, float]:
    wide = truth.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    varies = np.square(deviation) > RELATIVE_FLOOR * np.square(wide).mean(axis=0) + FLOOR
    if not varies.any():
        return {}

    def standard(values: Floats) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = (values[hidden][:, varies] - mean[varies]) / deviation[varies]
        return scaled

    guess, fact = standard(estimate.mean), standard(truth)
    error = guess - fact
    lengths = np.linalg.norm(guess, axis=1) * np.linalg.norm(fact, axis=1)
    cosines = np.divide((guess * fact).sum(axis=1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    figures = {
        "cosine": float(cosines.mean()),
        "explained": 1 - float(np.square(error).sum() / np.square(fact).sum()),
    }
    if estimate.variance is not None:
        claimed = estimate.variance[hidden][:, varies] / np.square(deviation[varies])
        figures["claimed"] = float(np.square(error).sum() / max(float(claimed.sum()), 1e-12))
        figures["covered"] = float((np.abs(error) <= NINETY * np.sqrt(claimed)).mean())
    return figures
