"""Membership from what rounds of training change: whether the head knows this record better by it.

The answer is no use here: the head has no part in it before it is calibrated.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.leakage.losses import of_head
from benchmarks.leakage.people import Floats, People
from fedfin.codec import Tensors
from fedfin.plan import Plan


def losses_before(plan: Plan, models: Sequence[Tensors], candidates: People) -> Floats:
    """The head's loss of each candidate before each round, [rounds, n]."""
    return np.stack([of_head(plan, model, candidates) for model in models])


def losses_after(
    plan: Plan, models: Sequence[Tensors], changes: Sequence[Tensors], candidates: People
) -> Floats:
    """As what is seen of each round leaves it, [rounds, n]."""
    return losses_before(plan, [_after(*pair) for pair in zip(models, changes, strict=True)], candidates)


def all_rounds(drops: Floats) -> Floats:
    """Of [rounds, n] their sum, each round in its own deviations: early ones, that change most, know the least."""
    spread = np.maximum(drops.std(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    found: Floats = (drops / spread).sum(axis=0)
    return found


def _after(before: Tensors, change: Tensors) -> Tensors:
    return before | {name: before[name] + by for name, by in change.items() if name in before}
