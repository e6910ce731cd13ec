"""How far the head is to be trusted beside the experts, for every pattern of shown modalities."""

import torch
from torch import Tensor, nn

from fedfin.model.model_spec import CALIBRATION_SUMS, CALIBRATION_UNIT

LEAST = 1e-6
ENOUGH = 4.0  # pairs of a positive and a negative, at which what they say counts half
# Evidence that the head holds the classes apart at all, at which it is trusted half as much as on much: 30 to 100
# hardly differ, and a trust for each label by its own pairs was worse in eight of ten settings (docs/method.md).
CERTAIN = 60.0
FIRM = 10.0  # degrees of freedom that what is expected of a variance stands for


class Calibration(nn.Module):
    """Read from what both said of cases that the head did not train on; buffers, measured and not trained."""

    def __init__(self, patterns: int, labels: int) -> None:
        super().__init__()
        self.scores: Tensor
        self.register_buffer("scores", torch.empty(patterns, labels, 2, CALIBRATION_SUMS))

    def forward(self, logits: Tensor, row: Tensor, power: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """The head's logits [n, labels] as log-odds, and their weight beside the experts' [n, 1], 0 where noise.

        row: int64 [n], the case's pattern; power: [patterns, labels], how far the experts hold the classes apart, in
        squared deviations; prior: [labels], the labels' log-odds. As in the experts' blend a logit is taken to be
        normal within each class. A label of which few positives were seen gets the slope of all; all labels of a
        pattern get the same trust, since the few cases kept apart say too little of each.
        """
        cases, *sums = (CALIBRATION_UNIT * self.scores).unbind(dim=-1)
        freedom = (cases - 1).clamp(min=0)
        mean, of_head = _about_mean(cases, *sums[:2])
        _, of_experts = _about_mean(cases, *sums[2:])
        apart = mean[..., 1] - mean[..., 0]
        # Of all patterns: few cases may happen to agree, and the slope would be enormous.
        everywhere = of_head.sum() / freedom.sum().clamp(min=1)
        within = _variance(of_head.sum(dim=-1), freedom.sum(dim=-1), everywhere)
        # The variance of `apart` is within / sure.
        sure = cases[..., 0] * cases[..., 1] / cases.sum(dim=-1).clamp(min=1)
        weights = sure / sure.sum(dim=-1, keepdim=True).clamp(min=LEAST)
        of_all = _variance(of_head.sum(dim=(-2, -1)), freedom.sum(dim=(-2, -1)), everywhere).unsqueeze(-1)
        common = (_all(weights * apart) / of_all).clamp(min=0)
        own = (apart / within).clamp(min=0)
        share = sure / (sure + ENOUGH)
        slope = share * own + (1 - share) * common
        trust = _trust(
            _all(weights * apart / within.sqrt()),
            _all(weights * power.clamp(min=0).sqrt()),
            _all(sure),
            _evenness(of_head, freedom) / _evenness(of_experts, freedom),
        )
        return slope[row] * (logits - mean.mean(dim=-1)[row]) + prior, trust[row]


def _about_mean(cases: Tensor, total: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and sum of squares about it; all [patterns, labels, classes]."""
    mean = total / cases.clamp(min=1)
    return mean, (square - total * mean).clamp(min=0)


def _trust(of_head: Tensor, of_experts: Tensor, sure: Tensor, evener: Tensor) -> Tensor:
    """The head's share of the answer, [patterns, 1].

    of_head, of_experts: how many deviations apart they hold the classes, in the mean over labels; that of the head is
    measured with a variance of 1 / sure. evener: how many times more the head's are worth.
    """
    evidence = (sure * of_head.clamp(min=0).square() - 1).clamp(min=0)  # beyond what noise gives in the mean
    certain = sure / (sure + ENOUGH) * evidence / (evidence + CERTAIN)
    worth = (evidence / sure.clamp(min=LEAST)).sqrt() * evener
    share: Tensor = certain * worth / (worth + of_experts).clamp(min=LEAST)
    return share


def _evenness(squares: Tensor, freedom: Tensor) -> Tensor:
    """How many times further apart two classes are to AUC than the deviation within both says, [patterns, 1].

    AUC goes by the mean of both variances (binormal: Hanley 1988), the deviation within both by that of the negatives,
    which are many. What least squares says of positives varies more than what it says of negatives.
    """
    within = squares.sum(dim=-1, keepdim=True) / freedom.sum(dim=-1, keepdim=True).clamp(min=1)
    known = freedom * (within > LEAST)
    relative = (squares / within.clamp(min=LEAST)).sum(dim=-2)
    mean: Tensor = _variance(relative, known.sum(dim=-2), torch.ones(())).mean(dim=-1, keepdim=True)
    return mean.rsqrt()


def _variance(squares: Tensor, freedom: Tensor, expected: Tensor) -> Tensor:
    """Of squares about their mean and their degrees of freedom, drawn to what is expected."""
    variance: Tensor = (squares + FIRM * expected) / (freedom + FIRM)
    return variance.clamp(min=LEAST)


def _all(of_labels: Tensor) -> Tensor:
    """[patterns, labels] to their sum, [patterns, 1]."""
    return of_labels.sum(dim=-1, keepdim=True)
