"""The generative rival: a report decoder writes the text that is missing, and the encoder reads it.

In the manner of the R2Gen baseline of arXiv 2505.20232 (Chen et al., EMNLP 2020), with a network of half a million
parameters, since it must train where no accelerator is. The decoder is trained by the sites that have texts beside
something else; all sites then write what they lack, and the ordinary rounds train on it. Only the plan's last modality
is written; any other that is missing is filled with its mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.study.federation import Federation, Texts
from benchmarks.study.method import ByModality, Floats, NotApplicableError, Present, Progress, Trained
from benchmarks.study.methods.averaging import Batch, Recipe, average
from benchmarks.study.methods.filled import ON_FILLED, TrainedFilled, add, fill
from benchmarks.study.methods.report_decoder import ReportDecoder, Vocabulary
from benchmarks.study.methods.units import Units, pooled
from fedfin_edge.cases.dataset import Dataset

# Multiply-adds a word of MiniLM-L6: the weights of six blocks of width 384, without attention's own products.
ENCODER_PER_WORD = 6 * 12 * 384**2


@dataclass(frozen=True)
class Generative:
    """words: of the vocabulary; length: of a text; width: of the decoder; rounds: of its training."""

    name: str = "generative"
    words: int = 1000
    length: int = 40
    width: int = 192
    rounds: int = 10
    learning_rate: float = 0.004

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Raises NotApplicableError where the last modality is no text, or no site has it beside another."""
        texts = _texts(federation)
        units = pooled(federation.sites.values())
        pairs = {name: _pairs(d, texts, name, units) for name, d in federation.sites.items()}
        pairs = {name: pair for name, pair in pairs.items() if len(pair[1])}
        if not pairs:
            raise NotApplicableError("no site has texts beside another modality")
        words = Vocabulary((text for _, written in pairs.values() for text in written), self.words)
        torch.manual_seed(federation.plan.seed)
        decoder = ReportDecoder(next(iter(pairs.values()))[0].shape[1], len(words), self.width)
        rows = {name: [shown, words.rows(written, self.length)] for name, (shown, written) in pairs.items()}
        recipe = Recipe(self.rounds, 1, federation.plan.training.batch_size, self.learning_rate, 0.01)
        sent = average(decoder, rows, _loss, recipe, federation.plan.seed, lambda s: progress(s / 2))
        writer = Writer(decoder, words, texts, units, self.length)
        sites = {name: fill(d, writer(d.features, d.present)) for name, d in federation.sites.items()}
        inner = ON_FILLED.train(replace(federation, sites=sites), lambda s: progress(0.5 + s / 2))
        costs = add(
            inner.costs,
            up=sent * len(rows) / len(sites),
            down=sent,
            multiply_adds=decoder.multiply_adds(self.length) + self.length * ENCODER_PER_WORD,
        )
        return TrainedFilled(inner, writer, costs)


def _texts(federation: Federation) -> Texts:
    last = list(federation.plan.dims)[-1]
    for texts in federation.texts:
        if texts.modality == last:
            return texts
    raise NotApplicableError(f"it writes texts, and modality {last!r} is none")


def _pairs(dataset: Dataset, texts: Texts, site: str, units: Units) -> tuple[Tensor, Sequence[str]]:
    """Of the cases that have the text and something else: the rest standardised [n, dim], and the texts."""
    others = {m: mask for m, mask in dataset.present.items() if m != texts.modality}
    rows = dataset.present[texts.modality] & np.logical_or.reduce(list(others.values()))
    shown = _shown(dataset.features, dataset.present, texts.modality, units)
    return torch.from_numpy(shown[rows]), [texts.train[site][row] for row in np.flatnonzero(rows).tolist()]


def _shown(features: ByModality, present: Present, target: str, units: Units) -> Floats:
    """All modalities but the target side by side, standardised, zero where missing: [n, their dims]."""
    parts = [units.standard(m, v) * present[m][:, None] for m, v in features.items() if m != target]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _loss(decoder: nn.Module, batch: Batch) -> Tensor:
    assert isinstance(decoder, ReportDecoder)
    return decoder.loss(*batch)


class Writer:
    """Estimates of every modality: the text's from what is written for the case, the others' means."""

    def __init__(
        self, decoder: ReportDecoder, words: Vocabulary, texts: Texts, units: Units, length: int
    ) -> None:
        self._decoder, self._words, self._units, self._length = decoder, words, units, length
        self._target, self._encode = texts.modality, texts.encode
        self._known: dict[str, Floats] = {}  # many cases get the same text

    def __call__(self, features: ByModality, present: Present) -> dict[str, Floats]:
        """[n, dim] by modality."""
        count = len(present[self._target])
        estimated = {m: np.tile(self._units.mean[m], (count, 1)) for m in features}
        lacking = np.flatnonzero(~present[self._target])
        if len(lacking):
            shown = _shown(features, present, self._target, self._units)[lacking]
            estimated[self._target][lacking] = np.stack([self._features(text) for text in self.write(shown)])
        return estimated

    def write(self, shown: Floats) -> list[str]:
        """A text for each row of what is shown."""
        return [self._words.text(row) for row in self._decoder.write(torch.from_numpy(shown), self._length)]

    def _features(self, text: str) -> Floats:
        if text not in self._known:
            self._known[text] = self._encode(text) if text.strip() else self._units.mean[self._target]
        return self._known[text]
