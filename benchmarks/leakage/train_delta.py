"""Membership from what one round of training changes: whether it goes where this record's own training goes."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.final_model import losses
from benchmarks.leakage.listener import Seen, send
from benchmarks.leakage.people import Floats, People
from fedfin.codec import Tensors
from fedfin.plan import Plan
from fedfin.protocol.schedule import first_training_round


def alignment(plan: Plan, seen: Seen, before: Tensors, candidates: People, reference: People) -> Floats:
    """Cosine of the head's delta with that of each candidate alone, less what all have in common, [n]."""
    names = [name for name in seen.values if name.startswith("head.")]
    usual = _flat(_own_delta(plan, before, reference), names)
    own = np.stack(
        [
            _flat(_own_delta(plan, before, candidates.rows(np.array([row]))), names)
            for row in range(len(candidates))
        ]
    )
    own -= own.mean(axis=0)
    delta = _flat(seen, names) - usual
    found: Floats = own @ delta / np.maximum(np.linalg.norm(own, axis=1), 1e-12)
    return found


def loss_drop(plan: Plan, seen: Seen, before: Tensors, candidates: People) -> Floats:
    """By how much the delta lowers each candidate's loss, [n]."""
    after = before | {
        name: (before[name] + value).astype(np.float32)
        for name, value in seen.values.items()
        if name in before
    }
    return losses(plan, before, candidates) - losses(plan, after, candidates)


def _own_delta(plan: Plan, before: Tensors, people: People) -> Seen:
    return send(plan, "train", first_training_round(plan), before, people.dataset())


def _flat(seen: Seen, names: list[str]) -> NDArray[np.float64]:
    return np.concatenate([seen.values[name].ravel() for name in names])
