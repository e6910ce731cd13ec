"""The closed-form experts: logits blended from what every shown modality tells, directly and through the others.

Everything is solved by the aggregator (fedfin_aggregator/closed_form) and read here; no gradient trains it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fedfin.fusion.modality import ByModality, key, total

LEAST = 1e-4  # squared deviations


class Experts(nn.Module):
    """Scores of each pair (source, target), weighted by the pattern of what is shown."""

    def __init__(self, reads: Mapping[str, int], labels: int) -> None:
        """Reads: how many values the basis of each modality has."""
        super().__init__()
        for source, inputs in reads.items():
            of_source = nn.Module()
            for target in reads:
                of_source.add_module(key(target), Score(inputs, labels))
            self.add_module(key(source), of_source)

    def forward(self, features: ByModality, shown: ByModality, blend: "Blend") -> Tensor:
        """Logits [n, labels]. features: modality -> [n, basis], see basis.py; shown: modality -> bool [n]."""
        weights, bias = blend(shown)
        blended = [bias]
        for i, (source, values) in enumerate(features.items()):
            of_source = getattr(self, key(source))
            blended += [
                weights[:, i, j] * getattr(of_source, key(target))(values)
                for j, target in enumerate(features)
            ]
        return total(blended)


class Score(nn.Module):
    """A linear score of the labels; buffers."""

    def __init__(self, inputs: int, labels: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.empty(labels, inputs))
        self.register_buffer("bias", torch.empty(labels))

    def forward(self, values: Tensor) -> Tensor:
        """[n, inputs] to [n, labels]."""
        return values @ self.weight.T + self.bias


class Blend(nn.Module):
    """The table of weights by pattern: modality i of the plan's order counts 2^i in a row's number."""

    def __init__(self, modalities: int, labels: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.empty(2**modalities, modalities, modalities, labels))
        self.power: Tensor
        self.prior: Tensor
        self.register_buffer("bias", torch.empty(2**modalities, labels))
        self.register_buffer("power", torch.empty(2**modalities, labels))
        self.register_buffer("prior", torch.empty(labels))

    def forward(self, shown: ByModality) -> tuple[Tensor, Tensor]:
        """Weights [n, source, target, labels] and bias [n, labels]."""
        row = pattern_rows(shown)
        return self.weight[row], self.bias[row]

    def deviations(self, logits: Tensor, shown: ByModality) -> Tensor:
        """The experts' logits [n, labels] from the labels' own, in deviations within a class."""
        return (logits - self.prior) / self.power[pattern_rows(shown)].clamp(min=LEAST).sqrt()


def pattern_rows(shown: ByModality) -> Tensor:
    """The number of each case's pattern, int64 [n]."""
    return total(mask.to(torch.int64) << place for place, mask in enumerate(shown.values()))
