"""FIN variant `mlp`: projections of what is shown are summed, refined by residual blocks, projected out."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from fedfin.fusion.modality import ByModality, key, linears, parts, total
from fedfin.plan import Model


class MlpFin(nn.Module):
    """Any number of modalities enter by a sum, so none has a fixed place."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:
        super().__init__()
        width = model.fin_width
        self.input = linears(dims, width)
        self.layers = nn.ModuleList(Block(width) for _ in range(model.fin_layers))
        self.norm = nn.LayerNorm(width)
        self.output = parts({modality: nn.Linear(width, dim) for modality, dim in dims.items()})

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:
        """Estimate every modality; see `fedfin.fusion.fin.Imputes`. A projection's bias tells that it was shown."""
        state = total(
            self.input[key(modality)](values) * shown[modality].unsqueeze(1).to(values.dtype)
            for modality, values in features.items()
        )
        for layer in self.layers:
            state = layer(state)
        state = self.norm(state)
        return {modality: self.output[key(modality)](state) for modality in features}


class Block(nn.Module):
    """Pre-norm residual block; keeps [n, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, state: Tensor) -> Tensor:
        """[n, width] to [n, width]."""
        refined: Tensor = self.down(functional.relu(self.up(self.norm(state))))
        return state + refined
