"""How the head's logits are read beside the experts', for every pattern of shown modalities."""

import torch
from torch import Tensor, nn


class Calibration(nn.Module):
    """Solved by the aggregator (closed_form/head_calibration.py) from held-out cases; no gradient trains it."""

    def __init__(self, patterns: int, labels: int) -> None:
        super().__init__()
        self.slope: Tensor
        self.intercept: Tensor
        self.head_weight: Tensor
        self.register_buffer("slope", torch.empty(patterns, labels))
        self.register_buffer("intercept", torch.empty(patterns, labels))
        self.register_buffer("head_weight", torch.empty(patterns))

    def forward(self, head: Tensor, experts: Tensor, row: Tensor) -> Tensor:
        """Logits [n, labels] from the head's and the experts', alike. row: int64 [n], the case's pattern."""
        calibrated = self.slope[row] * head + self.intercept[row]
        return experts + self.head_weight[row].unsqueeze(1) * (calibrated - experts)
