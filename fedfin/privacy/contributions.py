"""What one case adds to the sums with noise, in units of the norm that a patient is clipped to.

    second.partial.{a}.{b}   basis_a basis_b^T, with basis_a = [CONSTANT, features / sqrt(their number)]; a = b packed
    labels.partial.{a}       [labels, 2, D]: of positives basis_a; in the first row, first place, COUNTED if it is known
    head.*                   the gradient of the label loss, downhill, times gradient_scale
    calibration.scores       [patterns, labels, 2, 5] of fedfin/model/model_spec.py, times score_scale
    eval.{scenario}          1 / sqrt(labels x scenarios) in the bin of each label's score

So a case is about as long as the norm, whatever the number of features. Constants and counts would be most of it, and
need the least precision: they are scaled down (python -m benchmarks.private measures with what they are).
"""

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from fedfin.model.model_spec import scenarios
from fedfin.model.second_moment_spec import label_moment_name, second_moment_name, upper
from fedfin.plan import Plan

Floats = NDArray[np.float64]

NORM = 1.0
CONSTANT = 0.5
COUNTED = 0.125
SLOPE = 0.3  # of the label loss, by a label's logit: what a case's gradient is scaled by
LOGIT, DEVIATION = 2.0, 1.5  # of the head, and of the experts, in a case's scores


def basis_scale(dim: int) -> Floats:
    """What the basis of a modality with so many features is multiplied by, [1 + dim]."""
    return np.concatenate([[CONSTANT], np.full(dim, 1 / math.sqrt(dim))])


def count_scale(plan: Plan) -> float:
    """What a histogram's counts are multiplied by."""
    return 1 / math.sqrt(len(plan.labels) * len(scenarios(plan)))


def gradient_scale(plan: Plan) -> float:
    """What a case's gradient is multiplied by: about one over its norm, of features of variance 1."""
    return 1 / (SLOPE * math.sqrt(len(plan.labels) * (len(plan.dims) + sum(plan.dims.values()))))


def score_scale(plan: Plan) -> Floats:
    """What a case's scores are multiplied by, [5]: 1, the head's logit and its square, the experts' and its."""
    scale = np.array([1.0, 1 / LOGIT, 1 / LOGIT**2, 1 / DEVIATION, 1 / DEVIATION**2])
    return scale / math.sqrt(2 * len(plan.labels) * (2 ** len(plan.dims) - 1))


def second_moments(
    plan: Plan, basis: Mapping[str, Floats], present: Mapping[str, NDArray[np.bool_]], labels: Floats
) -> dict[str, Floats]:
    """Of each case, by tensor, [cases, ...]. basis: [cases, 1 + features]; labels: [cases, labels], NaN unknown."""
    scaled = {m: basis[m] * basis_scale(dim) * present[m][:, None] for m, dim in plan.dims.items()}
    tensors: dict[str, Floats] = {}
    for one, other in combinations_with_replacement(plan.dims, 2):
        products = np.einsum("nd,ne->nde", scaled[one], scaled[other])
        tensors[second_moment_name("partial", one, other)] = (
            products[:, upper(products.shape[1])] if one == other else products
        )
    for modality in plan.dims:
        positive = np.einsum("nl,nd->nld", np.nan_to_num(labels), scaled[modality])
        known = np.zeros_like(positive)
        known[..., 0] = COUNTED * (~np.isnan(labels) & present[modality][:, None])
        tensors[label_moment_name("partial", modality)] = np.stack([known, positive], axis=2)
    return tensors
