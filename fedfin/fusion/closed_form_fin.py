"""The closed-form FIN: the conditional mean of jointly normal features, as `fedfin_aggregator/closed_form` solves it.

From one modality s it is t = offset + gain s: mu_t + S_ts (S_ss + lambda I)^-1 (s - mu_s), shrunk by feature. Several
sources are combined feature by feature as independent measurements of it. With r the share that a source explains, and
prior variance 1, each has precision r / (1 - r): the mean is sum(t_s / (1 - r_s)) / (1 + sum(r_s / (1 - r_s))),
and the variance that is left is one over that denominator. With a single source both are those of the source.
"""

from collections.abc import Mapping
from itertools import permutations

import torch
from torch import Tensor, nn

from fedfin.fusion.modality import ByModality, key, parts, total


class Gaussian(nn.Module):
    """Buffers only: no gradient trains it. Reads what `Basis` makes of the features."""

    def __init__(self, dims: Mapping[str, int], reads: Mapping[str, int]) -> None:
        """Reads: how many values the basis of each modality has."""
        super().__init__()
        self.gain, self.offset, self.explained = (
            parts({source: nn.Module() for source in dims}) for _ in range(3)
        )
        for source, target in permutations(dims, 2):
            gain = torch.empty(dims[target], reads[source])
            self.gain[key(source)].register_buffer(key(target), gain)
            for part in (self.offset, self.explained):
                part[key(source)].register_buffer(key(target), torch.empty(dims[target]))

    def forward(self, features: ByModality, shown: ByModality) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Estimate every modality from the others, see `fin.Imputes`; and the variance that is left of each.

        Of standardised features, [n, dim]: 1 where nothing is known.
        """
        estimates, spread = {}, {}
        for target in features:
            weighted = [
                _row(shown[source], self._weighted(source, target, features[source]))
                for source in features
                if source != target
            ]
            precision = self._precision(target, shown)
            estimates[target], spread[target] = total(weighted) / precision, 1.0 / precision
        return estimates, spread

    def _weighted(self, source: str, target: str, values: Tensor) -> Tensor:
        """[n, dim]: what one source estimates, times its precision."""
        gain, offset, explained = (
            _pair(part, source, target) for part in (self.gain, self.offset, self.explained)
        )
        return (values @ gain.T + offset) / (1.0 - explained)

    def _precision(self, target: str, shown: ByModality) -> Tensor:
        """Precision of each feature, [n, dim]: 1 is that of knowing nothing."""
        precisions = []
        for source, mask in shown.items():
            if source != target:
                explained = _pair(self.explained, source, target)
                precisions.append(_row(mask, (explained / (1.0 - explained)).unsqueeze(0)))
        return 1.0 + total(precisions)


def _pair(part: nn.ModuleDict, source: str, target: str) -> Tensor:
    values: Tensor = getattr(part[key(source)], key(target))
    return values


def _row(mask: Tensor, values: Tensor) -> Tensor:
    """Values [n or 1, dim] where mask [n], else zero."""
    return values * mask.unsqueeze(1).to(values.dtype)
