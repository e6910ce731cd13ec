"""What the closed forms read of a modality: its standardised features, and random features of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fedfin.fusion.modality import ByModality, key


class Basis(nn.Module):
    """Appends cosines to each modality's features, as many as `fedfin.model.model_spec.cosines` says."""

    def __init__(self, dims: Mapping[str, int], widths: Mapping[str, int]) -> None:
        """Widths: how many, of the modalities that have any."""
        super().__init__()
        self._widths = dict(widths)
        for modality, width in widths.items():
            self.add_module(key(modality), Cosines(dims[modality], width))

    def forward(self, standard: ByModality) -> dict[str, Tensor]:
        """Modality -> float32 [n, dim] to [n, dim + width]; what is not shown is not zero any more."""
        return {
            m: self._expanded(m, values) if m in self._widths else values for m, values in standard.items()
        }

    def _expanded(self, modality: str, values: Tensor) -> Tensor:
        return torch.cat([values, getattr(self, key(modality))(values)], dim=1)


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
