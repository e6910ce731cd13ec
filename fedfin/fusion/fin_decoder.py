"""FIN variant `decoder`: a transformer decoder, as in the paper (arXiv 2505.20232: 4 heads, 6 layers).

Several learnable query tokens per modality read a memory of one projected token per modality shown and
several learnable ones. Attention over a single token is constant and its query and key weights never learn,
so both the self- and the cross-attention always see several.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedfin.fusion.attention import Attention
from fedfin.fusion.modality import ByModality, key, linears, parts
from fedfin.model.fin_spec import FEED_FACTOR
from fedfin.plan import Model


class DecoderFin(nn.Module):
    """Queries of all modalities are decoded together; a modality's estimate is read from its tokens' mean."""

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
        """Estimate every modality; see `fedfin.fusion.fin.Imputes`."""
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
