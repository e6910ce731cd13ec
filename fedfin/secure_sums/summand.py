"""What one site adds to a secure sum: the same words in the same places, whatever it has.

weights    one word for each tensor of the task, by sorted name
values     of each tensor, weight times value in fixed point; zeros of one that the site has not
metrics    two words for each of the task's: its value in fixed point, and 1; or two zeros
steps      of tensors whose changes are rounded to whole steps (quantizer.py), by sorted name, in place of their values:
           how many, several to a word (lanes.py)
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Shapes, Tensors
from fedfin.codec.presets import Levels
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task, quantized_shapes, task_specs
from fedfin.plan import Plan
from fedfin.protocol.convergence import METRICS
from fedfin.secure_sums import lanes
from fedfin.secure_sums.fixed_point import MOST, ONE, add_rounded, largest, with_whole_counts
from fedfin.secure_sums.masks import Words

LARGEST_METRIC = float(
    2**62 // limits.COHORT >> limits.FRACTION_BITS
)  # so that a cohort's sum stays below 2^62


class Opened(NamedTuple):
    """A sum without masks: total and weight of each tensor that any site has; total and count of each metric."""

    tensors: dict[str, tuple[NDArray[np.int64], int]]
    metrics: dict[str, tuple[int, int]]


def metric_names(plan: Plan, task: Task) -> tuple[str, ...]:
    """What sites tell beside their values.

    Not FIN's loss: few cases may have what it is asked for, and of a closed form a case's error never changes.
    """
    if task != "train":
        return ("cases",)
    return ("cases", "label_loss", *(METRICS if plan.rounds.stops_after else ()))


class Summand:
    """The form of one task's words, where training's updates are rounded to `levels` of steps, if to any.

    `quantized`: the tensors of which it holds whole steps.
    """

    def __init__(self, plan: Plan, task: Task, levels: Levels | None = None) -> None:
        self._shapes, self._metrics = task_specs(plan, task), metric_names(plan, task)
        self.quantized: Shapes = quantized_shapes(plan) if levels is not None else {}
        self._counts = task != "train"  # which is of no counts
        self._bits = 0 if levels is None else lanes.width(levels.most, plan.rounds.sites)
        whole = {name: shape for name, shape in self._shapes.items() if name not in self.quantized}
        self._places, self._steps_at = _places(whole, len(self._shapes))
        self._steps_at += 2 * len(self._metrics)
        self._steps, self._step_count = _places(self.quantized, 0)

    @property
    def word_count(self) -> int:
        """How long every site's words are."""
        packed = lanes.word_count(self._step_count, self._bits) if self.quantized else 0
        return self._steps_at + packed

    def words(
        self,
        values: Tensors,
        weights: Mapping[str, int],
        metrics: Mapping[str, float],
        sites: int = limits.COHORT,
    ) -> Words:
        """A site's, without masks. Of quantized tensors `values` holds steps.

        Nobody sees a sum overflow. So each of `sites` takes an equal part of an int64 at most, however large the
        others are: |weight * value| * 2^24 <= (2^63 - 1) / sites. Raises ProtocolError where that is too little.
        """
        words = np.zeros(self.word_count, np.int64)
        words[: len(self._shapes)] = [weights.get(name, 0) for name in sorted(self._shapes)]
        for names, weight in self._runs(values, weights):
            flat = np.concatenate([values[name].reshape(-1) for name in names])
            if self._counts:
                flat = with_whole_counts(flat, weight)
            if largest(flat, weight * ONE) > MOST // sites:
                raise ProtocolError(_overflow(values, names, weight, sites))
            start = self._places[names[0]].start
            add_rounded(words[start : start + flat.size], flat, weight * ONE)
        for row, name in zip(self._metric_words(words), self._metrics, strict=True):
            if name in metrics:
                row[:] = round(min(max(metrics[name], -LARGEST_METRIC), LARGEST_METRIC) * ONE), 1
        if self.quantized:
            words[self._steps_at :] = lanes.pack(self._all_steps(values), self._bits)
        return words.view(np.uint64)

    def _runs(self, values: Tensors, weights: Mapping[str, int]) -> Iterator[tuple[list[str], int]]:
        """Tensors that lie end to end and count for as many cases: together they take one call of numpy's."""
        counts = ((name, weights[name] if name in values else None) for name in self._places)
        for weight, run in groupby(counts, itemgetter(1)):
            if weight is not None:
                yield [name for name, _ in run], weight

    def _all_steps(self, values: Tensors) -> NDArray[np.int64]:
        steps = np.zeros(self._step_count, np.int64)
        for name, place in self._steps.items():
            if name in values:
                steps[place] = values[name].reshape(-1)
        return steps

    def opened(self, words: Words, steps: Mapping[str, int]) -> Opened:
        """What a sum of such words says, once no mask is left on it. `steps`: how large they are, by tensor."""
        sums = words.view(np.int64)
        weights = dict(zip(sorted(self._shapes), sums[: len(self._shapes)].tolist(), strict=True))
        totals = {name: sums[place].copy() for name, place in self._places.items()}
        if self.quantized:
            counts = lanes.unpack(sums[self._steps_at :], self._bits, self._step_count)
            totals |= {name: counts[place] * steps[name] for name, place in self._steps.items()}
        tensors = {
            name: (totals[name].reshape(shape), weights[name])
            for name, shape in self._shapes.items()
            if weights[name]
        }
        metrics = {
            name: (total, count)
            for name, (total, count) in zip(self._metrics, self._metric_words(sums).tolist(), strict=True)
            if count
        }
        return Opened(tensors, metrics)

    def _metric_words(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        return words[self._steps_at - 2 * len(self._metrics) : self._steps_at].reshape(-1, 2)


def _places(shapes: Shapes, start: int) -> tuple[dict[str, slice], int]:
    """Where each tensor's values lie, end to end from `start`; and where they end."""
    places = {}
    for name in sorted(shapes):
        places[name] = slice(start, start + math.prod(shapes[name]))
        start = places[name].stop
    return places, start


def _overflow(values: Tensors, names: Iterable[str], weight: int, sites: int) -> str:
    """Why these cannot be in a sum of so many sites."""
    worst = max(names, key=lambda name: largest(values[name], weight * ONE))
    return f"tensor {worst}: {weight} cases of such values could overflow the sum of {sites} sites"
