"""How much of each feature a trained FIN leaves unexplained, as the last rounds measured it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fedfin.fusion.modality import ByModality, key


class Spread(nn.Module):
    """Mean squared errors by feature, in standardised units; buffers, measured and not trained."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        for modality, dim in dims.items():
            self.register_buffer(key(modality), torch.empty(dim))

    def forward(self, variance: ByModality) -> dict[str, Tensor]:
        """Modality -> share of the features' variance [1, dim], the same whatever is shown.

        variance: modality -> [dim], of the standardised features.
        """
        return {
            m: (getattr(self, key(m)) / of_m).clamp(0.0, 1.0).unsqueeze(0) for m, of_m in variance.items()
        }
