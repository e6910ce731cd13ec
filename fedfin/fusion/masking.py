"""Which modalities a training step shows: modality dropout on cases that have several."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Masks:
    """All bool [n, modalities].

    to_fin: what FIN sees, a proper part of every case with several modalities; asked: what it is asked for,
    the known rest; to_head: what the head sees, all that is present except on the cases that dropout chose.
    """

    to_fin: Tensor
    asked: Tensor
    to_head: Tensor


def draw_masks(present: Tensor, dropout: float, generator: Generator) -> Masks:
    """Hide a random non-empty proper subset of each multimodal case: from FIN always, from the head at times.

    present: bool [n, modalities]. FIN so learns from every multimodal case, whatever the dropout.
    """
    count = present.sum(dim=1)
    several = count > 1
    # The k present modalities with the highest scores are hidden, 1 <= k < count, k uniform.
    scores = torch.rand(present.shape, generator=generator).masked_fill(~present, -1.0)
    hide = 1 + (torch.rand(len(present), generator=generator) * (count - 1)).long()
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    asked = present & (rank < hide.unsqueeze(1)) & several.unsqueeze(1)
    dropped = torch.rand(len(present), generator=generator) < dropout
    return Masks(present & ~asked, asked, present & ~(asked & dropped.unsqueeze(1)))
