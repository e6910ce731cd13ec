"""FIN variant `zero`: imputes nothing; a missing modality contributes nothing to the head. For comparison."""

from collections.abc import Mapping

from torch import Tensor, nn

from fedfin.fusion.modality import ByModality
from fedfin.plan import Model


class ZeroFin(nn.Module):
    """No parameters, no estimates."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:  # noqa: ARG002 the interface
        super().__init__()

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:  # noqa: ARG002 the interface
        """Estimate nothing; see `fedfin.fusion.fin.Imputes`."""
        return {}
