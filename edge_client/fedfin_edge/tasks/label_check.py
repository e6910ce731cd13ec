"""What the model says of the labels of this site's own training cases: whether the two contradict each other."""

import math

import numpy as np
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.metrics import per_label_auc
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.evaluate import answer

CONTRADICTS = 4.0  # standard errors below 1/2, over all labels


def contradiction(model: FusionModel, plan: Plan, dataset: Dataset) -> float | None:
    """The macro AUC over this site's own training cases where it is far below 1/2, for chance; else None.

    Its standard error, of labels that say nothing, is that of the rank-sum statistic (Mann and Whitney 1947), as if
    labels were independent of each other.
    """
    rows = np.flatnonzero(~dataset.held_out)
    if not dataset.floor.allows(~dataset.held_out):
        return None
    labels = dataset.labels[rows]
    found = per_label_auc(answer(model, plan, dataset, rows, dataset.present), labels)
    known = [(auc, _variance(column)) for auc, column in zip(found, labels.T, strict=True) if auc is not None]
    if not known:
        return None
    mean = sum(auc for auc, _ in known) / len(known)
    error = math.sqrt(sum(variance for _, variance in known)) / len(known)
    return mean if mean < 1 / 2 - CONTRADICTS * error else None


def _variance(labels: NDArray[np.float32]) -> float:
    """Of the AUC of scores that know nothing of these labels."""
    positive, negative = int((labels == 1).sum()), int((labels == 0).sum())
    return (positive + negative + 1) / (12.0 * positive * negative)
