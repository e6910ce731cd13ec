"""The closed-form FIN: the conditional mean of jointly normal features, as `fedfin_aggregator/closed_form` solves it.

From one modality s it is t = offset + gain s: mu_t + S_ts (S_ss + lambda I)^-1 (s - mu_s), shrunk by feature. Several
sources are combined feature by feature as measurements of it whose errors correlate by ALIKE: all see one patient. With
r the share that a source explains, and prior variance 1, each has precision p = r / (1 - r). As many as
k = sum(p)^2 / sum(p^2) equal ones tell as much as k / d of them, d = 1 + ALIKE (k - 1). A source at its own mean says
offset: that is its prior mean, and what it adds is t / (1 - r) - offset. With m, the prior means weighted by
precision, the mean is (m + sum(t_s / (1 - r_s) - offset_s) / d) / (1 + sum(p) / d), and the variance that is left is
one over that denominator. With a single source both are those of the source; where none tells anything, the mean is m.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations

import torch
from torch import Tensor, nn

from fedfin.fusion.modality import ByModality, key, parts, total

# With 0, up to a third of the variance was claimed that five views of mfeat leave of the sixth; with 0.5 it is right on
# public cases, and nothing changes where views are hardly related (docs/LOG.md).
ALIKE = 0.5
LEAST = 1e-12  # squared precision
SILENT = 1e-6  # the precision with which a source that tells nothing has a say in the prior mean


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
            sources = [source for source in features if source != target]
            evidence = [_row(shown[s], self._evidence(s, target, features[s])) for s in sources]
            precisions = [_row(shown[s], self._precision(s, target)) for s in sources]
            repeated = _repeated(precisions)
            precision = 1.0 + total(precisions) / repeated  # 1 is that of knowing nothing
            prior = self._prior_mean(sources, target, shown)
            estimates[target] = (prior + total(evidence) / repeated) / precision
            spread[target] = 1.0 / precision
        return estimates, spread

    def _evidence(self, source: str, target: str, values: Tensor) -> Tensor:
        """[n, dim]: what one source estimates, times its precision, less its prior mean."""
        gain, offset, explained = (
            _pair(part, source, target) for part in (self.gain, self.offset, self.explained)
        )
        return (values @ gain.T + explained * offset) / (1.0 - explained)

    def _prior_mean(self, sources: Sequence[str], target: str, shown: ByModality) -> Tensor:
        """[n, dim]: the mean of what the shown sources say at their own means, by precision; 0 where none is shown."""
        weights = [_row(shown[s], self._precision(s, target) + SILENT) for s in sources]
        offsets = [weight * _pair(self.offset, s, target) for s, weight in zip(sources, weights, strict=True)]
        return total(offsets) / total(weights).clamp(min=LEAST)

    def _precision(self, source: str, target: str) -> Tensor:
        """[1, dim]: what one source adds to that of each feature."""
        explained = _pair(self.explained, source, target)
        return (explained / (1.0 - explained)).unsqueeze(0)


def _repeated(precisions: Sequence[Tensor]) -> Tensor:
    """How many times over the sources tell the same of each feature, [n, dim]: 1 where one is all that tells."""
    alone = total(precisions).square() / total([one.square() for one in precisions]).clamp(min=LEAST)
    return 1.0 + ALIKE * (alone - 1.0).clamp(min=0.0)


def _pair(part: nn.ModuleDict, source: str, target: str) -> Tensor:
    values: Tensor = getattr(part[key(source)], key(target))
    return values


def _row(mask: Tensor, values: Tensor) -> Tensor:
    """Values [n or 1, dim] where mask [n], else zero."""
    return values * mask.unsqueeze(1).to(values.dtype)
