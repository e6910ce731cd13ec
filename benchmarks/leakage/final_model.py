"""Membership from the trained model: whether its loss of this record is lower, also than a model's that never saw it.

Yeom et al., CSF 2018 (loss threshold); Carlini et al., S&P 2022 (likelihood ratio; here with one reference model).
"""

import numpy as np
import torch

from benchmarks.leakage.people import MODALITY, Floats, People
from fedfin.codec import Tensors
from fedfin.fusion.model import load_model
from fedfin.plan import Plan


def losses(plan: Plan, model: Tensors, people: People) -> Floats:
    """Binary cross-entropy of each patient, summed over the labels that are known, [n]."""
    fusion = load_model(plan, model)
    features = {MODALITY: torch.from_numpy(people.features)}
    with torch.inference_mode():
        logits = fusion(features, {MODALITY: torch.ones(len(people), dtype=torch.bool)})[0].numpy()
    signs = 2.0 * people.labels.astype(np.float64) - 1.0
    found: Floats = np.nansum(np.logaddexp(0.0, -signs * logits), axis=1)
    return found


def likelihood_ratio(plan: Plan, model: Tensors, reference: Tensors, people: People) -> Floats:
    """By how much the loss is lower than with the reference model, [n]."""
    return losses(plan, reference, people) - losses(plan, model, people)
