"""AUC from summed histograms with noise in them: right in the mean; not said where noise may be all there is."""

from collections.abc import Mapping
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import Plan
from fedfin.privacy.contributions import count_scale
from fedfin_aggregator.fold.fold import FoldedMeans, Sum

Floats = NDArray[np.float64]

LEAST = 10.0  # of either class, by the noised count: below, nothing is said


def noised_evaluation(plan: Plan, sums: Mapping[str, Sum]) -> dict[str, float]:
    """`auc.{scenario}`, the macro AUC, `labels.{scenario}`, over how many, and `cases.{scenario}`, by noised counts."""
    results: dict[str, float] = {}
    for name, mean in FoldedMeans(sums).items():
        scenario, counts = name.removeprefix("eval."), mean * sums[name].weight / count_scale(plan)
        results[f"cases.{scenario}"] = max(0.0, round(float(counts.sum()) / len(plan.labels)))
        if known := [auc for auc in map(noised_auc, counts) if auc is not None]:
            results[f"auc.{scenario}"] = fmean(known)
            results[f"labels.{scenario}"] = float(len(known))
    return results


def noised_auc(counts: Floats) -> float | None:
    """As `fedfin.model.metrics.histogram_auc` of [2, bins], whose counts may be below zero."""
    negatives, positives = counts
    if min(negatives.sum(), positives.sum()) < LEAST:
        return None
    below = np.cumsum(negatives) - negatives / 2
    share = float(positives @ below) / float(positives.sum() * negatives.sum())
    return min(max(share, 0.0), 1.0)
