"""The feature imputation network (FIN): its variants, all with one interface.

A FIN sees the standardised features of the modalities shown (any subset of any number) and estimates the
standardised features of every modality. Method: arXiv 2505.20232. The closed form is in closed_form_fin.py.

    zero            imputes nothing (for comparison)
    mean, uniform   the same values for every case (for comparison)
    mlp             projections of what is shown are summed, refined by residual blocks, projected out
    decoder         a transformer decoder, as in the paper (4 heads, 6 layers)
"""

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfin.fusion.modality import ByModality, key, linears, parts, total
from fedfin.model.fin_spec import FEED_FACTOR, fin_variant
from fedfin.plan import Plan
from fedfin.plan_sections import Model


class Imputes(Protocol):
    """What every variant does."""

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:
        """Estimate each modality's standardised features.

        features: modality -> float32 [n, dim], zero where not shown; shown: modality -> bool [n].
        Returns modality -> float32 [n, dim], or nothing at all from a variant that imputes nothing.
        """
        ...


class ZeroFin(nn.Module):
    """No parameters, no estimates."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:  # noqa: ARG002 the interface
        super().__init__()

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:  # noqa: ARG002 the interface
        """Estimate nothing; see `Imputes`."""
        return {}


class MeanFin(nn.Module):
    """The pooled mean, which is zero in standardised units: unlike `zero` it is shown as if it were real."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:  # noqa: ARG002 the interface
        super().__init__()

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:  # noqa: ARG002 the interface
        """Zeros; see `Imputes`."""
        return {modality: torch.zeros_like(values) for modality, values in features.items()}


class UniformFin(nn.Module):
    """Draws from [0, 1) in standardised units: one for each feature, so that an answer can be repeated."""

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:  # noqa: ARG002 the interface
        super().__init__()
        self.fill = nn.Module()
        for modality, dim in dims.items():
            self.fill.register_buffer(key(modality), torch.empty(dim))

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:  # noqa: ARG002 the interface
        """The draws; see `Imputes`."""
        return {m: getattr(self.fill, key(m)).expand_as(values) for m, values in features.items()}


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
        """Estimate every modality; see `Imputes`. A projection's bias tells that it was shown."""
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


class DecoderFin(nn.Module):
    """Queries of all modalities are decoded together; a modality's estimate is read from its tokens' mean.

    Several learnable query tokens per modality read a memory of one projected token per modality shown and several
    learnable ones. Attention over a single token is constant and its query and key weights never learn, so both the
    self- and the cross-attention always see several.
    """

    def __init__(self, dims: Mapping[str, int], model: Model) -> None:
        super().__init__()
        width, tokens = model.fin_width, model.memory_tokens
        self.input = linears(dims, width)
        self.memory = nn.Parameter(torch.empty(tokens, width))
        self.memory_norm = nn.LayerNorm(width)
        self.query = nn.ParameterDict(
            {key(modality): nn.Parameter(torch.empty(tokens, width)) for modality in dims}
        )
        self.layers = nn.ModuleList(Layer(width, model.fin_heads) for _ in range(model.fin_layers))
        self.norm = nn.LayerNorm(width)
        self.output = parts({modality: nn.Linear(width, dim) for modality, dim in dims.items()})

    def forward(self, features: ByModality, shown: ByModality) -> dict[str, Tensor]:
        """Estimate every modality; see `Imputes`."""
        memory, mask = self._memory(features, shown)
        # One batch row until the first cross-attention: before it, every case has the same queries.
        state = torch.cat([self.query[key(modality)] for modality in features]).unsqueeze(0)
        for layer in self.layers:
            state = layer(state, memory, mask)
        tokens = self.norm(state).unflatten(1, (len(features), -1)).mean(dim=2)
        return {
            modality: self.output[key(modality)](tokens[:, place]) for place, modality in enumerate(features)
        }

    def _memory(self, features: ByModality, shown: ByModality) -> tuple[Tensor, Tensor]:
        """The tokens to read [n, modalities + memory_tokens, width] and which may be read, bool [n, ...]."""
        tokens = torch.stack([self.input[key(m)](values) for m, values in features.items()], dim=1)
        learned = self.memory.unsqueeze(0).expand(tokens.shape[0], -1, -1)
        seen = torch.stack([shown[m] for m in features], dim=1)
        always = torch.ones_like(learned[:, :, 0], dtype=torch.bool)
        return self.memory_norm(torch.cat([tokens, learned], dim=1)), torch.cat([seen, always], dim=1)


class Layer(nn.Module):
    """Pre-norm decoder layer: self-attention, cross-attention, feed-forward, each residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads)
        self.feed_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, FEED_FACTOR * width)
        self.down = nn.Linear(FEED_FACTOR * width, width)

    def forward(self, state: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """State [n or 1, queries, width] reads memory [n, k, width] where mask [n, k] is True."""
        queries = self.self_norm(state)
        state = state + self.self_attention(queries, queries)
        state = state + self.cross_attention(self.cross_norm(state), memory, mask)
        fed: Tensor = self.down(functional.relu(self.up(self.feed_norm(state))))
        return state + fed


class Attention(nn.Module):
    """Multi-head attention from plain linear layers, so that it exports to ONNX with plain tensor names.

    Keys and values have no bias: softmax cancels one, `output` absorbs the other.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let queries [n or 1, q, width] read memory [n or 1, k, width] where mask [n, k] is True.

        Every row of the mask must allow something. Returns [n, q, width].
        """
        query, key, value = (
            self._split(part) for part in (self.query(queries), self.key(memory), self.value(memory))
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -math.inf)
        read = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2)
        merged: Tensor = self.output(read.flatten(2))
        return merged

    def _split(self, tokens: Tensor) -> Tensor:
        """[n, t, width] to [n, heads, t, width / heads]."""
        n, count, width = tokens.shape
        return tokens.view(n, count, self.heads, width // self.heads).transpose(1, 2)


Fin = ZeroFin | MeanFin | UniformFin | MlpFin | DecoderFin


def make_fin(plan: Plan) -> Fin:
    """The network that trains in the plan's FIN, its parameters not yet set."""
    variants: dict[str, type[Fin]] = {
        "zero": ZeroFin,
        "mean": MeanFin,
        "uniform": UniformFin,
        "mlp": MlpFin,
        "decoder": DecoderFin,
        "gaussian": ZeroFin,  # nothing but the closed form
        "refined": MlpFin,
    }
    return variants[fin_variant(plan)](plan.dims, plan.model)
