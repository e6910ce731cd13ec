"""How far the head is to be trusted beside the experts, for every pattern of shown modalities."""

import torch
from torch import Tensor, nn

from fedfin.model_spec import CALIBRATION_UNIT

LEAST = 1e-6
ENOUGH = 4.0  # pairs of a positive and a negative, at which what they say counts half
# Evidence that the head holds the classes apart at all, at which it is trusted half as much as on much: 20 to 40 hardly
# differ, and a trust for each label by its own pairs was worse in eight of ten settings (docs/method.md).
CERTAIN = 30.0
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
        everywhere = squares.sum() / freedom.sum().clamp(min=1)
        within = _variance(squares, freedom, everywhere)
        # The variance of `apart` is within / sure.
        sure = cases[..., 0] * cases[..., 1] / cases.sum(dim=-1).clamp(min=1)
        weights = sure / sure.sum(dim=-1, keepdim=True).clamp(min=LEAST)
        of_all = _variance(_all(squares), _all(freedom), everywhere)
        common = (_all(weights * apart) / of_all).clamp(min=0)
        own = (apart / within).clamp(min=0)
        share = sure / (sure + ENOUGH)
        slope = share * own + (1 - share) * common
        of_head = _all(weights * apart / within.sqrt())
        of_experts = _all(weights * power.clamp(min=0).sqrt())
        trust = _trust(of_head, of_experts, _all(sure))
        return slope[row] * (logits - mean.mean(dim=-1)[row]) + prior, trust[row]


def _trust(of_head: Tensor, of_experts: Tensor, sure: Tensor) -> Tensor:
    """The head's share of the answer, [patterns, 1].

    of_head, of_experts: how many deviations apart they hold the classes, in the mean over labels; that of the head is
    measured with a variance of 1 / sure.
    """
    evidence = (sure * of_head.clamp(min=0).square() - 1).clamp(min=0)  # beyond what noise gives in the mean
    of_head = (evidence / sure.clamp(min=LEAST)).sqrt()
    certain = sure / (sure + ENOUGH) * evidence / (evidence + CERTAIN)
    share: Tensor = certain * of_head / (of_head + of_experts).clamp(min=LEAST)
    return share


def _variance(squares: Tensor, freedom: Tensor, everywhere: Tensor) -> Tensor:
    """Of squares about their mean and their degrees of freedom, drawn to that of all patterns."""
    variance: Tensor = (squares + FIRM * everywhere) / (freedom + FIRM)
    return variance.clamp(min=LEAST)


def _all(of_labels: Tensor) -> Tensor:
    """[patterns, labels] to their sum, [patterns, 1]."""
    return of_labels.sum(dim=-1, keepdim=True)
