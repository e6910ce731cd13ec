"""A small report decoder: words one after the other from a vector of features. The generative rival's own network."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

END, UNKNOWN = 0, 1  # padding is END, too
_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*|[.,;:]")


class Vocabulary:
    """The commonest words; texts as rows of numbers."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
        commonest = sorted(counts, key=lambda word: (-counts[word], word))[: size - 2]
        self._words = ["", "", *commonest]
        self._numbers = {word: number for number, word in enumerate(self._words) if word}

    def __len__(self) -> int:
        return len(self._words)

    def rows(self, texts: Sequence[str], length: int) -> Tensor:
        """int64 [texts, length + 1], ended and padded with END."""
        rows = torch.full((len(texts), length + 1), END)
        for row, text in zip(rows, texts, strict=True):
            numbers = [self._numbers.get(word, UNKNOWN) for word in _WORD.findall(text.lower())[:length]]
            row[: len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        return rows

    def text(self, row: Sequence[int]) -> str:
        """Up to the first END; unknown words are left out."""
        words = row[: row.index(END)] if END in row else row
        return " ".join(self._words[number] for number in words if number != UNKNOWN)


class ReportDecoder(nn.Module):
    """A recurrent network whose first state is a projection of the features."""

    def __init__(self, features: int, words: int, width: int) -> None:
        super().__init__()
        self.start = nn.Linear(features, width)
        self.embed = nn.Embedding(words + 1, width // 2)  # the last row begins a text
        self.cells = nn.GRU(width // 2, width, batch_first=True)
        self.output = nn.Linear(width, words)

    def loss(self, features: Tensor, rows: Tensor) -> Tensor:
        """Cross-entropy of the next word, up to and with the first END. features: [n, dim]; rows: [n, length + 1]."""
        begin = torch.full((len(rows), 1), self.embed.num_embeddings - 1)
        states, _ = self.cells(self.embed(torch.cat([begin, rows[:, :-1]], dim=1)), self._first(features))
        ended = (rows == END).cumsum(dim=1) > 1
        losses = functional.cross_entropy(self.output(states).transpose(1, 2), rows, reduction="none")
        return losses[~ended].mean()

    @torch.inference_mode()
    def write(self, features: Tensor, length: int) -> list[list[int]]:
        """The likeliest next word each time, at most `length`."""
        word = torch.full((len(features), 1), self.embed.num_embeddings - 1)
        state, written = self._first(features), []
        for _ in range(length):
            out, state = self.cells(self.embed(word), state)
            word = self.output(out).argmax(dim=2)
            written.append(word)
        rows: list[list[int]] = torch.cat(written, dim=1).tolist()
        return rows

    def multiply_adds(self, length: int) -> float:
        """Of writing one text of that length."""
        step = sum(p.numel() for p in self.cells.parameters()) + self.output.weight.numel()
        return float(self.start.weight.numel() + length * step)

    def _first(self, features: Tensor) -> Tensor:
        first: Tensor = torch.tanh(self.start(features)).unsqueeze(0)
        return first
