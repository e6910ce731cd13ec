"""How well the head of the model that a round starts from answers cases that it does not train on."""

import torch
from torch.nn import functional

from fedfin.fusion.model import FusionModel
from fedfin.plan import Plan
from fedfin.protocol.convergence import ANSWERS, LOSSES
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.k_anonymity import k_anonymous
from fedfin_edge.cases.scenarios import scenarios


def held_out_loss(model: FusionModel, plan: Plan, dataset: Dataset) -> dict[str, float]:
    """`convergence.METRICS`: sums of binary cross-entropy on validation cases, and over how many known labels.

    Each case answers with all that it has, and with each modality alone. Empty where there are no such cases, or where
    they are of too few patients for the site's floor.
    """
    rows, judged = k_anonymous(plan, dataset, dataset.calibration_held_out)
    if not dataset.floor.allows(rows):
        return {}
    features = {m: torch.from_numpy(dataset.features[m][rows]) for m in plan.dims}
    labels = torch.from_numpy(judged[rows])
    answers, losses = 0.0, dict.fromkeys(LOSSES, 0.0)
    with torch.inference_mode():
        for scenario in scenarios({m: dataset.present[m][rows] for m in plan.dims}):
            known = ~labels.isnan() & torch.from_numpy(scenario.cases).unsqueeze(1)
            if scenario.name == "all" or not known.any():  # complete cases answer `as-is`
                continue
            shown = {m: torch.from_numpy(scenario.present[m]) for m in plan.dims}
            logits = model.head_logits(features, shown)
            answers += known.sum().item()
            for softer in losses:
                losses[softer] += functional.binary_cross_entropy_with_logits(
                    logits[known] / softer, labels[known], reduction="sum"
                ).item()
    return {ANSWERS: answers} | {LOSSES[s]: loss for s, loss in losses.items()} if answers else {}
