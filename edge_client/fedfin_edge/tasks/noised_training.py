"""Training with noise: one step of full-batch descent a round, of which the site gives its part.

Of each patient the gradient of his cases' losses, clipped; their sum, and the site's share of the noise. What a case
shows is not drawn: draws by its place in the table would change with who else is there, so that one patient moved the
sum by more than his norm. The aggregator makes the step (fedfin_aggregator/rounds/noised_training.py).
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedfin.codec import Tensors
from fedfin.fusion.case_gradients import case_gradients
from fedfin.fusion.loss import case_losses
from fedfin.fusion.modality import by_modality, total, wire_name
from fedfin.fusion.model import FusionModel, missing
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.privacy.contributions import gradient_scale
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.noised_sums import Rows, noised_sum
from fedfin_edge.tasks.train import trains_head


def noised_gradients(model: FusionModel, plan: Plan, dataset: Dataset) -> Tensors:
    """Downhill, in units of the norm that a patient is clipped to."""
    rows = np.flatnonzero(trains_head(plan, dataset))
    shapes = task_specs(plan, "train")
    return noised_sum(plan, "train", shapes, dataset, rows, lambda rows: downhill(model, plan, dataset, rows))


def downhill(model: FusionModel, plan: Plan, dataset: Dataset, rows: Rows) -> dict[str, NDArray[np.float64]]:
    """What each of these cases would add to the head's tensors, by wire name, [cases, ...]."""
    present = torch.from_numpy(np.stack([dataset.present[m][rows] for m in plan.dims], axis=1))
    labels = torch.from_numpy(dataset.labels[rows])
    with torch.no_grad():
        features = {m: torch.from_numpy(dataset.features[m][rows]) for m in plan.dims}
        standard = model.standardise(features, by_modality(plan.dims, present))

    def losses() -> Tensor:
        return total(
            weight * case_losses(_logits(model, standard, by_modality(plan.dims, shown)), labels)
            for weight, shown in _views(present, plan.training.modality_dropout)
        )

    found, scale = case_gradients(model.head, losses), gradient_scale(plan)
    return {
        wire_name(f"head.{name}"): -scale * values.numpy().astype(np.float64)
        for name, values in found.items()
    }


def _logits(model: FusionModel, standard: dict[str, Tensor], shown: dict[str, Tensor]) -> Tensor:
    """The head's, seeing this much of each case, [n, labels]."""
    with torch.no_grad():
        seen = {m: values * shown[m].unsqueeze(1) for m, values in standard.items()}
        filled = model.gated(model.impute(seen, shown))
    logits: Tensor = model.head(standard, shown, filled, missing(shown))
    return logits


def _views(present: Tensor, dropout: float) -> Iterator[tuple[Tensor, Tensor]]:
    """What is shown of cases [n, modalities], and how much it counts, [n]: dropout in the mean over what it may hide.

    Every case counts 1 in all.
    """
    patterns = product((False, True), repeat=present.shape[1])
    parts = [present & torch.tensor(pattern) for pattern in patterns]
    proper = torch.stack([part.any(dim=1) & (part != present).any(dim=1) for part in parts])
    ways = proper.sum(dim=0)
    hidden = dropout * (ways > 0)
    yield 1 - hidden, present
    for part, counts in zip(parts, proper, strict=True):
        if counts.any():
            yield hidden * counts / ways.clamp(min=1), part
