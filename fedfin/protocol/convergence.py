"""When training has stopped improving, and which version was the best: by the loss on cases that it does not see.

In each round of training a site says how the model that the round starts from answers its validation cases. Loss would
call a head worse that is merely too sure of itself, while it still ranks cases better: calibration mends that. So the
loss is told for logits that are divided by each of `SOFTER`, and the least of the pooled ones counts.

So sites vote on a version, and one that loses by the plan's `rollback` is not taken.
"""

from collections.abc import Mapping

from fedfin.plan import Plan
from fedfin.protocol.schedule import after_training, task_of

SOFTER = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
ANSWERS = "held_out_answers"
LOSSES = {softer: f"held_out_loss.{softer:g}" for softer in SOFTER}
METRICS = (ANSWERS, *LOSSES.values())
LEAST_GAIN = 0.002  # of the loss: a smaller one is no reason to go on


def is_worse(losses: Mapping[int, float], margin: float) -> bool:
    """Whether the newest version's loss is by more than this part above the least one before it. losses: by version."""
    *before, newest = (loss for _, loss in sorted(losses.items()))
    return bool(before) and newest > (1 + margin) * min(before)


def pooled_loss(results: Mapping[str, float]) -> float | None:
    """The held-out loss per answer, from the sites' means of METRICS; None where no site holds cases out."""
    answers = results.get(ANSWERS, 0.0)
    known = [results[name] for name in LOSSES.values() if name in results]
    return min(known) / answers if known and answers > 0 else None


def best_of(losses: Mapping[int, float]) -> int | None:
    """The version of the least loss, the first of equals; None of none. losses: by version."""
    return min(losses, key=lambda version: (losses[version], version), default=None)


def has_converged(losses: Mapping[int, float], patience: int) -> bool:
    """Whether so many versions in a row were no better than one before them. 0: never."""
    if not patience or not losses:
        return False
    least, waited = float("inf"), 0
    for _, loss in sorted(losses.items()):
        improves = loss < (1 - LEAST_GAIN) * least
        least, waited = (loss, 0) if improves else (least, waited + 1)
    return waited >= patience


def follow(plan: Plan, round_: int, losses: Mapping[int, float]) -> tuple[int, int | None]:
    """The next round, and the version that it goes back to; None: it goes on from what this round makes.

    losses: of the versions that rounds of training started from, this one's among them. Where training stops improving
    the rest of its rounds are left out. At its end the best version is the final one; where that is the last one known,
    it may be trained once more. Until then a version that is worse by the plan's `rollback` is not taken, nor the
    updates of the round that started from it.
    """
    following = round_ + 1
    if task_of(plan, round_) != "train" or not plan.rounds.stops_after or not losses:
        return following, None
    best = best_of(losses)
    if has_converged(losses, plan.rounds.stops_after):
        return after_training(plan), best
    over = following == after_training(plan)
    worse = bool(plan.rounds.rollback) and is_worse(losses, plan.rounds.rollback or 0.0)
    return following, best if (over and best != max(losses)) or worse else None
