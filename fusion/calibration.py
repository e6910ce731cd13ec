"""How far the head is to be trusted beside the experts, for every pattern of shown modalities."""

import torch
from torch import Tensor, nn

from fedfin.model_spec import CALIBRATION_UNIT

LEAST = 1e-6
ENOUGH = 4.0  # pairs of a positive and a negative, at which a label's own slope counts half
# Pairs of all labels together, at which the head is trusted half as much as on many: 10 to 50 hardly differ, and a
# trust for each label by its own pairs was worse in eight of ten settings (docs/method.md).
CERTAIN = 20.0
FIRM = 10.0  # degrees of freedom that the variance of all patterns stands for in each


class Calibration(nn.Module):
    """Read from what the head said of cases that it did not train on; buffers, measured and not trained."""

    def __init__(self, patterns: int, labels: int) -> None:
        super().__init__()
        self.scores: Tensor
        self.register_buffer("scores", torch.empty(patterns, labels, 2, 3))

    def forward(self, logits: Tensor, row: Tensor, power: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """The head's logits [n, labels] as log-odds, and their weight beside the experts' [n, 1], 0 where noise.

        row: int64 [n], the case's pattern; power: [patterns, labels], how far the experts hold the classes apart, in
        squared deviations; prior: [labels], the labels' log-odds. As in the experts' blend a logit is taken to be
        normal within each class. A label of which few positives were seen gets the slope of all; all labels of a
        pattern get the same trust, since the few cases kept apart say too little of each.
        """
        cases, total, square = (CALIBRATION_UNIT * self.scores).unbind(dim=-1)
        mean = total / cases.clamp(min=1)
        apart = mean[..., 1] - mean[..., 0]
        squares, freedom = (square - total * mean).sum(dim=-1), (cases - 1).clamp(min=0).sum(dim=-1)
        # Of all patterns: few cases may happen to agree, and the slope would be enormous.
        everywhere = FIRM * squares.sum() / freedom.sum().clamp(min=1)
        within = (squares + everywhere) / (freedom + FIRM)
        # The variance of `apart` is within / sure.
        sure = cases[..., 0] * cases[..., 1] / cases.sum(dim=-1).clamp(min=1)
        weights = sure / sure.sum(dim=-1, keepdim=True).clamp(min=LEAST)
        apart_all = (weights * apart).sum(dim=-1, keepdim=True).clamp(min=0)
        squares_all, freedom_all = squares.sum(dim=-1, keepdim=True), freedom.sum(dim=-1, keepdim=True)
        within_all = ((squares_all + everywhere) / (freedom_all + FIRM)).clamp(min=LEAST)
        common = apart_all / within_all
        own = (apart / within.clamp(min=LEAST)).clamp(min=0)
        share = sure / (sure + ENOUGH)
        slope = share * own + (1 - share) * common
        together = sure.sum(dim=-1, keepdim=True)
        noise = 1 / together.clamp(min=LEAST)
        of_head = (apart_all * common - noise).clamp(min=0).sqrt()
        of_experts = power.clamp(min=0).mean(dim=-1, keepdim=True).sqrt()
        trust = together / (together + CERTAIN) * of_head / (of_head + of_experts).clamp(min=LEAST)
        return slope[row] * (logits - mean.mean(dim=-1)[row]) + prior, trust[row]
