"""Membership from what one round of training changes: whether the head knows this record better by it.

The answer is no use here: the head has no part in it before it is calibrated.
"""

import numpy as np

from benchmarks.leakage.listener import Seen
from benchmarks.leakage.losses import of_head
from benchmarks.leakage.people import Floats, People
from fedfin.codec import Tensors
from fedfin.plan import Plan


def loss_drop(plan: Plan, seen: Seen, before: Tensors, candidates: People) -> Floats:
    """By how much the delta lowers the head's loss of each candidate, [n]."""
    return of_head(plan, before, candidates) - of_head(plan, _after(seen, before), candidates)


def loss_after(plan: Plan, seen: Seen, before: Tensors, candidates: People) -> Floats:
    """How low it is then, [n]."""
    return -of_head(plan, _after(seen, before), candidates)


def _after(seen: Seen, before: Tensors) -> Tensors:
    changed = seen.values.keys() & before.keys()
    return before | {name: (before[name] + seen.values[name]).astype(np.float32) for name in changed}
