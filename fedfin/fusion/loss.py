"""The two losses: labels that are known, and features that FIN was asked for."""

import torch
from torch import Tensor
from torch.nn import functional

from fedfin.fusion.modality import ByModality


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy, mean over known entries (NaN: unknown). Both [n, labels]. Zero if none is."""
    known = ~labels.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


def case_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each case, [n], summed over known entries (NaN: unknown). Both [n, labels]."""
    losses = functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return torch.where(labels.isnan(), 0.0, losses).sum(dim=1)


def fin_loss(imputed: ByModality, standard: ByModality, asked: ByModality) -> Tensor:
    """Mean squared error of the features that FIN was asked for, mean over (case, modality) pairs.

    In standardised units, so 1 is what guessing the mean scores. Zero if nothing was asked.
    """
    squared, pairs = torch.zeros(()), torch.zeros(())
    for modality, errors in squared_errors(imputed, standard).items():
        error = errors.mean(dim=1)
        squared = squared + torch.where(asked[modality], error, 0.0).sum()
        pairs = pairs + asked[modality].sum()
    return squared / pairs.clamp(min=1)


def squared_errors(imputed: ByModality, standard: ByModality) -> dict[str, Tensor]:
    """Modality -> [n, dim], of estimates where the truth is present."""
    return {modality: (estimate - standard[modality]).square() for modality, estimate in imputed.items()}
