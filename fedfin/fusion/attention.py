"""Multi-head attention from plain linear layers, so that it exports to ONNX with plain tensor names."""

import math

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Softmax attention. Keys and values have no bias: softmax cancels one, `output` absorbs the other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let queries [n or 1, q, width] read memory [n or 1, k, width] where mask [n, k] is True.

        Every row of the mask must allow something. Returns [n, q, width].
        """
        query, key, value = (
            self._split(part) for part in (self.query(queries), self.key(memory), self.value(memory))
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -math.inf)
        read = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2)
        merged: Tensor = self.output(read.flatten(2))
        return merged

    def _split(self, tokens: Tensor) -> Tensor:
        """[n, t, width] to [n, heads, t, width / heads]."""
        n, count, width = tokens.shape
        return tokens.view(n, count, self.heads, width // self.heads).transpose(1, 2)
