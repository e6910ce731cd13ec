"""BERT-base (Devlin et al., arXiv 1810.04805), uncased: 12 blocks of width 768, 12 heads; untrained."""

import torch
from torch import Tensor, nn
from torch.nn import functional

WORDS, POSITIONS, SEGMENTS = 30_522, 512, 2
WIDTH, HEADS, BLOCKS, FEED = 768, 12, 12, 3072


class Bert(nn.Module):
    """Word numbers int64 [n, words] to the pooled first word's features [n, 768]."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.segments = nn.Embedding(SEGMENTS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.pooler = nn.Linear(WIDTH, WIDTH)

    def forward(self, numbers: Tensor) -> Tensor:
        """One segment; all words count."""
        places = torch.arange(numbers.shape[1])
        embedded = self.words(numbers) + self.positions(places) + self.segments(torch.zeros_like(numbers))
        first: Tensor = self.blocks(self.norm(embedded))[:, 0]
        return torch.tanh(self.pooler(first))


class Block(nn.Module):
    """Self-attention and feed-forward, normalised after each; keeps [n, words, 768]."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, FEED), nn.Linear(FEED, WIDTH)
        self.attention_norm, self.feed_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, state: Tensor) -> Tensor:
        """[n, words, 768] to the same."""
        query, key, value = (
            part(state).view(*state.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        read = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        state = self.attention_norm(state + self.output(read))
        fed: Tensor = self.feed_norm(state + self.down(functional.gelu(self.up(state))))
        return fed
