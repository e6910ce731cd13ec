"""R2Gen (Chen et al., EMNLP 2020, arXiv 2010.16056): the generative imputer, as its public code sizes it; untrained.

ResNet-101 makes 49 patches of each view; an encoder and a decoder of 3 layers, width 512, 8 heads, inner width 512,
with a relational memory of 3 slots that conditions the decoder's norms; beam search of 3. Open-I: 760 words, reports
of at most 60; MIMIC-CXR: 4,335 words, at most 100. The public code reads the whole prefix again for every word; here
keys and values are kept, and so is the memory, which is to the rival's advantage. Nothing ends a report early: cost is
that of the longest, as the paper generates it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.costs.baselines.resnet import FEATURES, ResNet

WIDTH, HEADS, LAYERS, FEED, SLOTS, BEAM = 512, 8, 3, 512, 3, 3
VIEWS, PIXELS = 2, 224
WORDS = {60: 760, 100: 4335}  # by the longest report
START = 0

Pair = tuple[Tensor, Tensor]


class R2Gen(nn.Module):
    """Views of one case to the numbers of a report's words."""

    def __init__(self, longest: int) -> None:
        """Longest: 60, as for Open-I, or 100, as for MIMIC-CXR."""
        super().__init__()
        self.longest, words = longest, WORDS[longest] + 1
        self.extractor = ResNet(101)
        self.patches = nn.Linear(FEATURES, WIDTH)
        self.encoder = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.encoder_norm = nn.LayerNorm(WIDTH)
        self.embed = nn.Embedding(words, WIDTH)
        self.memory = RelationalMemory()
        self.decoder = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        self.decoder_norm = nn.LayerNorm(WIDTH)
        self.output = nn.Linear(WIDTH, words)

    def forward(self, views: Tensor) -> Tensor:
        """[views, 3, 224, 224] to the best beam's words, int64 [longest]."""
        return self.write(self.look(views))

    def look(self, views: Tensor) -> Tensor:
        """[views, 3, 224, 224] to encoded patches [1, 49 views, 512]."""
        patches = self.extractor(views).flatten(2).transpose(1, 2).reshape(1, -1, FEATURES)
        state = functional.relu(self.patches(patches))
        for layer in self.encoder:
            state = layer(state)
        encoded: Tensor = self.encoder_norm(state)
        return encoded

    def write(self, encoded: Tensor) -> Tensor:
        """Beam search over encoded patches [1, patches, 512]; int64 [longest]."""
        read = [layer.keys(encoded) for layer in self.decoder if isinstance(layer, DecoderLayer)]
        kept: Sequence[Pair | None] = [None] * LAYERS
        words, scores = torch.full((1, 1), START), torch.zeros(1)
        memory = torch.eye(SLOTS, WIDTH).unsqueeze(0)
        for _ in range(self.longest):
            logits, grown, memory = self.step(words[:, -1], read, kept, memory)
            beam, chosen, scores = best(scores, logits)
            words = torch.cat([words[beam], chosen.unsqueeze(1)], dim=1)
            memory, kept = memory[beam], [(keys[beam], values[beam]) for keys, values in grown]
        return words[0, 1:]

    def step(
        self, word: Tensor, read: Sequence[Pair], kept: Sequence[Pair | None], memory: Tensor
    ) -> tuple[Tensor, list[Pair], Tensor]:
        """One more word int64 [beams] of each: logits [beams, words], keys and values so far, the next memory."""
        state, known = self.embed(word), []
        memory = self.memory(state, memory)
        state = state.unsqueeze(1)
        for layer, patches, before in zip(self.decoder, read, kept, strict=True):
            state, pair = layer(state, patches, before, memory.flatten(1))
            known.append(pair)
        logits: Tensor = self.output(self.decoder_norm(state[:, 0]))
        return logits, known, memory


class Attention(nn.Module):
    """Eight heads; keys and values may be kept."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def keys(self, states: Tensor) -> Pair:
        """Of states [n, k, 512]: keys and values [n, heads, k, 64]."""
        return heads(self.key(states)), heads(self.value(states))

    def forward(self, queries: Tensor, keys: Pair) -> Tensor:
        """Queries [n, q, 512] read keys [n or 1, heads, k, 64]."""
        read = functional.scaled_dot_product_attention(heads(self.query(queries)), *keys)
        merged: Tensor = self.output(read.transpose(1, 2).flatten(2))
        return merged


class EncoderLayer(nn.Module):
    """Pre-norm; keeps [n, patches, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.feed = Attention(), feed()
        self.attention_norm, self.feed_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, state: Tensor) -> Tensor:
        """One layer."""
        queries = self.attention_norm(state)
        state = state + self.attention(queries, self.attention.keys(queries))
        fed: Tensor = self.feed(self.feed_norm(state))
        return state + fed


class DecoderLayer(nn.Module):
    """Self-attention over the words so far, attention to the patches, feed-forward; norms are conditioned."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention, self.cross_attention, self.feed = Attention(), Attention(), feed()
        self.norms = nn.ModuleList(ConditionalNorm() for _ in range(3))

    def keys(self, encoded: Tensor) -> Pair:
        """Of the patches, once a report."""
        return self.cross_attention.keys(encoded)

    def forward(
        self, state: Tensor, patches: Pair, before: Pair | None, memory: Tensor
    ) -> tuple[Tensor, Pair]:
        """One word's state [beams, 1, 512]; memory: [beams, slots x 512]. Also keys and values with this word's."""
        queries = self.norms[0](state, memory)
        own = self.self_attention.keys(queries)
        if before is not None:
            own = (torch.cat([before[0], own[0]], dim=2), torch.cat([before[1], own[1]], dim=2))
        state = state + self.self_attention(queries, own)
        shared = (
            patches[0].expand(len(state), -1, -1, -1),
            patches[1].expand(len(state), -1, -1, -1),
        )
        state = state + self.cross_attention(self.norms[1](state, memory), shared)
        fed: Tensor = self.feed(self.norms[2](state, memory))
        return state + fed, own


class ConditionalNorm(nn.Module):
    """A layer norm whose scale and shift the memory moves, each through a network of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.scale, self.shift = feed(SLOTS * WIDTH), feed(SLOTS * WIDTH)

    def forward(self, state: Tensor, memory: Tensor) -> Tensor:
        """State [n, 1, 512]; memory [n, slots x 512]."""
        plain = functional.layer_norm(state, (WIDTH,))
        scale = self.norm.weight + self.scale(memory).unsqueeze(1)
        shift = self.norm.bias + self.shift(memory).unsqueeze(1)
        normed: Tensor = scale * plain + shift
        return normed


class RelationalMemory(nn.Module):
    """Three slots that read themselves and the word, gated as in an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.inner = nn.Sequential(feed(), nn.ReLU())
        self.of_word, self.of_memory = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, word: Tensor, memory: Tensor) -> Tensor:
        """Word [n, 512] and memory [n or 1, slots, 512] to the next memory [n, slots, 512]."""
        memory = memory.expand(len(word), -1, -1)
        seen = torch.cat([memory, word.unsqueeze(1)], dim=1)
        following = memory + self.attention(memory, self.attention.keys(seen))
        following = following + self.inner(following)
        gates = self.of_word(word).unsqueeze(1) + self.of_memory(torch.tanh(memory))
        enter, keep = gates.sigmoid().chunk(2, dim=2)
        gated: Tensor = enter * torch.tanh(following) + keep * memory
        return gated


def feed(inputs: int = WIDTH) -> nn.Sequential:
    """Two layers."""
    return nn.Sequential(nn.Linear(inputs, FEED), nn.ReLU(), nn.Linear(FEED, WIDTH))


def heads(states: Tensor) -> Tensor:
    """[n, k, 512] to [n, heads, k, 64]."""
    return states.view(*states.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)


def best(scores: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits [beams, words] the three best ways on: their beam, word and score."""
    total = scores.unsqueeze(1) + logits.log_softmax(dim=1)
    top = total.flatten().topk(BEAM)
    words = logits.shape[1]
    return top.indices // words, top.indices % words, top.values
