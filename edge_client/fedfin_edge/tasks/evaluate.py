"""What a site tells of the model's quality: histograms of logits by true label, per scenario.

The aggregator adds them up and reads AUCs from the sums, so no case's score leaves the site.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.model_spec import HISTOGRAM_LIMIT, histogram_bins
from fedfin.model.model_spec import scenarios as scenario_names
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.scenarios import Present, judging
from fedfin_edge.tasks.alike_labels import alike_labels

BATCH = 256  # cases at a time, to bound memory


def evaluate(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """`eval.{scenario}` tensors of the held-out cases, and the number of cases in each.

    Of whom and of which labels, see k_anonymity.py: a histogram of few tells each one's score. Not of a label that too
    few patients of all sites have an answer of, where they were counted; nor of one that is scored as another is
    (alike_labels.py).
    """
    tensors, weights = {}, {}
    places, alike = (
        {name: at for at, name in enumerate(scenario_names(plan))},
        alike_labels(model, plan, dataset),
    )
    for scenario, chosen, labels in judging(plan, dataset):
        rows = np.flatnonzero(chosen)
        name, logits = f"eval.{scenario.name}", answer(model, plan, dataset, rows, scenario.present)
        labels[:, alike] = np.nan
        if model.enough is not None:
            labels[:, ~model.enough.of("evaluate")[places[scenario.name]]] = np.nan
        tensors[name] = _histogram(logits, labels, histogram_bins(plan))
        weights[name] = len(rows)
    return tensors, weights


def answer(
    model: FusionModel, plan: Plan, dataset: Dataset, rows: NDArray[np.intp], shown: Present
) -> NDArray[np.float32]:
    """Logits [rows, labels] of the cases at `rows`, seeing what `shown` allows (bool [n] by modality)."""
    parts = []
    with torch.inference_mode():
        for at in range(0, len(rows), BATCH):
            chosen = rows[at : at + BATCH]
            features = {m: torch.from_numpy(dataset.features[m][chosen]) for m in plan.dims}
            present = {m: torch.from_numpy(shown[m][chosen]) for m in plan.dims}
            parts.append(model(features, present)[0].numpy())
    return np.concatenate(parts)


def score_bins(logits: NDArray[np.float32], bins: int) -> NDArray[np.int64]:
    """In which of so many equal bins each logit is."""
    places = (logits.clip(-HISTOGRAM_LIMIT, HISTOGRAM_LIMIT) + HISTOGRAM_LIMIT) * (
        bins / (2 * HISTOGRAM_LIMIT)
    )
    return places.astype(np.int64).clip(0, bins - 1)


def _histogram(logits: NDArray[np.float32], labels: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Both [n, labels] to [labels, 2, bins]: the share of all n cases, by true label and bin."""
    places = score_bins(logits, bins)
    counts = np.zeros((logits.shape[1], 2, bins), dtype=np.float64)
    for truth in (0, 1):
        for label, column in enumerate(labels.T):
            found = places[column == truth, label]
            counts[label, truth] = np.bincount(found, minlength=bins)
    return (counts / len(logits)).astype(np.float32)
