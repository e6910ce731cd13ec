"""What one site adds to a secure sum: the same words in the same places, whatever it has.

weights    one word for each tensor of the task, by sorted name
values     of each tensor, weight times value in fixed point; zeros of one that the site has not
metrics    two words for each of the task's: its value in fixed point, and 1; or two zeros
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Shapes, Tensors
from fedfin.model.model_spec import Task, task_specs
from fedfin.plan import Plan
from fedfin.protocol.convergence import METRICS
from fedfin.secure_sums.fixed_point import ONE, add_rounded
from fedfin.secure_sums.masks import Words

LARGEST_METRIC = float(
    2**62 // limits.COHORT >> limits.FRACTION_BITS
)  # so that a cohort's sum stays below 2^62


class Opened(NamedTuple):
    """A sum without masks: total and weight of each tensor that any site has; total and count of each metric."""

    tensors: dict[str, tuple[NDArray[np.int64], int]]
    metrics: dict[str, tuple[int, int]]


def metric_names(plan: Plan, task: Task) -> tuple[str, ...]:
    """What sites tell beside their values."""
    if task != "train":
        return ("cases",)
    return ("cases", "fin_loss", "label_loss", *(METRICS if plan.rounds.patience else ()))


def word_count(plan: Plan, task: Task) -> int:
    """How long every summand of a task is."""
    shapes = task_specs(plan, task)
    return len(shapes) + sum(map(math.prod, shapes.values())) + 2 * len(metric_names(plan, task))


def summand(
    plan: Plan, task: Task, values: Tensors, weights: Mapping[str, int], metrics: Mapping[str, float]
) -> Words:
    """A site's words, without masks."""
    shapes = task_specs(plan, task)
    words = np.zeros(word_count(plan, task), np.int64)
    words[: len(shapes)] = [weights.get(name, 0) for name in sorted(shapes)]
    for name, place in _places(shapes).items():
        if name in values:
            add_rounded(words[place], values[name], weights[name] * ONE)
    metric_words = words[len(words) - 2 * len(metric_names(plan, task)) :].reshape(-1, 2)
    for row, name in zip(metric_words, metric_names(plan, task), strict=True):
        if name in metrics:
            row[:] = round(min(max(metrics[name], -LARGEST_METRIC), LARGEST_METRIC) * ONE), 1
    return words.view(np.uint64)


def opened(plan: Plan, task: Task, words: Words) -> Opened:
    """What a sum of summands says, once no mask is left on it."""
    shapes, sums = task_specs(plan, task), words.view(np.int64)
    weights = dict(zip(sorted(shapes), sums[: len(shapes)].tolist(), strict=True))
    tensors = {
        name: (sums[place].reshape(shapes[name]).copy(), weights[name])
        for name, place in _places(shapes).items()
        if weights[name]
    }
    metric_words = sums[len(sums) - 2 * len(metric_names(plan, task)) :].reshape(-1, 2).tolist()
    metrics = {
        name: (total, count)
        for name, (total, count) in zip(metric_names(plan, task), metric_words, strict=True)
        if count
    }
    return Opened(tensors, metrics)


def _places(shapes: Shapes) -> dict[str, slice]:
    places, start = {}, len(shapes)
    for name in sorted(shapes):
        places[name] = slice(start, start + math.prod(shapes[name]))
        start = places[name].stop
    return places
