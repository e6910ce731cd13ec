"""Labels that a model scores alike: what is told of the scores of both, taken off each other, tells of few patients.

So it scores labels that are the same in training, and the other way round labels that are each other's opposite. The
histograms of two, less each other, are those of whoever has one of them alone among those who judge: that patient's
score. Every site finds the same ones, by the model and not by its cases: were one site to tell of a label that the
others leave out, it would tell of its cases alone.
"""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset

PROBES, SEED = 16, 0
ALIKE = 1e-5  # in logits: what machines may differ by, and far below what other labels do


def alike_labels(model: FusionModel, plan: Plan, dataset: Dataset) -> NDArray[np.bool_]:
    """Which labels are scored as an earlier one that is told, and so left out, bool [labels].

    None at a site without a floor, but in sums: what it alone gave would be its own. Where answers are counted over all
    sites, an earlier one that too few have in every scenario is not told.
    """
    if dataset.least_patients <= 1 and not plan.privacy.summed:
        return np.zeros(len(plan.labels), np.bool_)
    pairs = alike_pairs(model, plan)
    if model.enough is not None:
        pairs &= model.enough.of("evaluate").any(axis=0, keepdims=True).T
    return np.asarray(pairs.any(axis=0))


def alike_pairs(model: FusionModel, plan: Plan) -> NDArray[np.bool_]:
    """Of which labels head, experts or answer are those of an earlier one where they vary, bool [earlier, labels].

    Whatever is shown: of one combination of modalities they may be, and not of another.
    """
    generator = torch.Generator().manual_seed(SEED)
    probes = {m: model.draw_features(m, PROBES, generator) for m in plan.dims}
    found = np.zeros((len(plan.labels), len(plan.labels)), np.bool_)
    for shown in list(product((False, True), repeat=len(plan.dims)))[1:]:
        present = {m: torch.full((PROBES,), is_shown) for m, is_shown in zip(plan.dims, shown, strict=True)}
        with torch.inference_mode():
            scores = [model(probes, present)[0]]
            if model.blend is not None:
                scores += model.calibration_logits(probes, present)
        for each in scores:
            found |= _repeat_earlier(each.numpy().astype(np.float64))
    return found


def _repeat_earlier(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[probes, labels] to bool [earlier, labels]. Alike but for a number that all share, or the opposite."""
    varied = np.ptp(scores, axis=0) > ALIKE
    same = np.ptp(scores[:, :, None] - scores[:, None, :], axis=0) <= ALIKE
    opposite = np.ptp(scores[:, :, None] + scores[:, None, :], axis=0) <= ALIKE
    return np.asarray(varied & np.triu(same | opposite, 1))
