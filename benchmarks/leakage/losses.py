"""How well a model knows a record: what every attack on what was trained reads."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.leakage.people import MODALITY, Floats, People
from fedfin.codec import Tensors
from fedfin.fusion.model import load_model
from fedfin.plan import Plan


def of_head(plan: Plan, model: Tensors, people: People) -> Floats:
    """The head's own: until it is calibrated, it has no part in the model's answer, [n]."""
    fusion = load_model(plan, model)
    return _losses(fusion.calibration_logits(*_shown(people))[0], people)


def of_answer(plan: Plan, model: Tensors, people: People) -> Floats:
    """Of the model's answer, [n]."""
    return _losses(load_model(plan, model)(*_shown(people))[0], people)


def _shown(people: People) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    everyone = torch.ones(len(people), dtype=torch.bool)
    return {MODALITY: torch.from_numpy(people.features)}, {MODALITY: everyone}


def _losses(logits: Tensor, people: People) -> Floats:
    """Binary cross-entropy of each patient, summed over the labels that are known, [n]."""
    known = ~np.isnan(people.labels)
    signs = 2.0 * np.nan_to_num(people.labels).astype(np.float64) - 1.0
    costs = np.logaddexp(0.0, -signs * logits.detach().numpy())
    return np.asarray((known * costs).sum(axis=1))
