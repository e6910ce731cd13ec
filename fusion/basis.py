"""What the closed forms read of a modality: its standardised features, and random features of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusion.modality import ByModality, key


class Basis(nn.Module):
    """Appends cosines to each modality's features, as many as the plan wants."""

    def __init__(self, dims: Mapping[str, int], width: int) -> None:
        super().__init__()
        for modality, dim in dims.items():
            self.add_module(key(modality), Cosines(dim, width))

    def forward(self, standard: ByModality) -> dict[str, Tensor]:
        """Modality -> float32 [n, dim] to [n, dim + width]; what is not shown is not zero any more."""
        return {
            m: torch.cat([values, getattr(self, key(m))(values)], dim=1) for m, values in standard.items()
        }


class Cosines(nn.Module):
    """Random Fourier features (Rahimi and Recht, NIPS 2007) of variance one; buffers, since nothing trains them."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.empty(width, dim))
        self.register_buffer("bias", torch.empty(width))

    def forward(self, values: Tensor) -> Tensor:
        """[n, dim] to [n, width]."""
        return 2**0.5 * torch.cos(values @ self.weight.T + self.bias)
