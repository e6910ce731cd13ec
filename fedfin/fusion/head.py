"""The fusion head: from real and imputed features to one logit per label.

Imputed features have their own columns. Sharing them with real ones buys accuracy on incomplete cases with
accuracy on complete ones (measured: 98.8 -> 95.5 macro AUC on UCI mfeat).
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from fedfin.fusion.modality import ByModality, key, linears, total


class FusionHead(nn.Module):
    """Blocks per modality are summed; with `width` 0 the sum is the logits, else ReLU and a layer follow."""

    def __init__(self, dims: Mapping[str, int], labels: int, width: int, *, own: bool) -> None:
        """Own: whether imputed features have their own columns; else they pass through those of real ones."""
        super().__init__()
        self.real = linears(dims, width or labels)
        self.imputed = linears(dims if own else {}, width or labels)
        self._own = own
        self.output = nn.Linear(width, labels) if width else None

    def forward(self, real: ByModality, shown: ByModality, imputed: ByModality, filled: ByModality) -> Tensor:
        """Logits [n, labels].

        real, imputed: modality -> float32 [n, dim]; shown, filled: modality -> bool [n], which rows of either
        count. A block's bias counts with it, so the head knows what it was given. `imputed` may be empty.
        """
        blocks = [_rows(self.real[key(m)](values), shown[m]) for m, values in real.items()]
        columns = self.imputed if self._own else self.real
        blocks += [_rows(columns[key(m)](values), filled[m]) for m, values in imputed.items()]
        summed = total(blocks)
        if self.output is None:
            return summed
        logits: Tensor = self.output(functional.relu(summed))
        return logits


def _rows(values: Tensor, mask: Tensor) -> Tensor:
    """Values [n, width] with the rows outside mask [n] at zero."""
    return values * mask.unsqueeze(1).to(values.dtype)
