"""Which task each round has, and which rounds make a new model version."""

from fedfin.plan import Plan
from fedfin.protocol.messages import Task


def task_of(plan: Plan, round_: int) -> Task:
    """Round 1 pools the features' moments, the last one evaluates, those between train."""
    if round_ == 1:
        return "moments"
    return "train" if round_ <= plan.rounds.count + 1 else "evaluate"


def last_round(plan: Plan) -> int:
    """The round after which the federation is finished."""
    return plan.rounds.count + 2
