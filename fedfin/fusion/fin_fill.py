"""FIN variants `mean` and `uniform`: the same values for every case. For comparison."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fedfin.fusion.modality import ByModality, key
from fedfin.plan import Model


class MeanFin(nn.Module):
    """The pooled mean, which is zero in standardised units: unlike `zero` it is shown as if it were real."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:  # noqa: ARG002 the interface
        super().__init__()

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:  # noqa: ARG002 the interface
        """Zeros; see `fedfin.fusion.fin.Imputes`."""
        return {modality: torch.zeros_like(values) for modality, values in features.items()}


class UniformFin(nn.Module):
    """Draws from [0, 1) in standardised units: one for each feature, so that an answer can be repeated."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:  # noqa: ARG002 the interface
        super().__init__()
        self.fill = nn.Module()
        for modality, dim in dims.items():
            self.fill.register_buffer(key(modality), torch.empty(dim))

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:  # noqa: ARG002 the interface
        """The draws; see `fedfin.fusion.fin.Imputes`."""
        return {m: getattr(self.fill, key(m)).expand_as(values) for m, values in features.items()}
