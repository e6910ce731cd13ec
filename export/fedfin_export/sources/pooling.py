"""Torch modules that put pooling inside the graph, so that an encoder's output is features [n, dim]."""

from typing import Any

import torch
from torch import Tensor, nn


class TextMean(nn.Module):
    """Token ids and mask, int64 [n, tokens], to the masked mean of the last hidden state, [n, width]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean over the tokens that the mask shows."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return torch.as_tensor((hidden * mask).sum(1) / mask.sum(1).clamp(min=1.0))


class ImagePooled(nn.Module):
    """Pixels [n, channels, side, side] to the pooled output, or the last hidden state's mean, [n, width]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Pooled output, or the mean over positions."""
        output = self.model(pixel_values=pixels)
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            return torch.as_tensor(pooled.flatten(1))
        hidden = output.last_hidden_state  # [n, tokens, width] or [n, width, rows, columns]
        return torch.as_tensor(hidden.mean(1) if hidden.ndim == 3 else hidden.mean((2, 3)))  # noqa: PLR2004
