"""What each round is for: its task, and how its traffic is compressed."""

from fedfin.plan import Plan
from fedfin.protocol.codec import Preset
from fedfin.protocol.messages import Task


def task_of(plan: Plan, round_: int) -> Task:
    """Round 1 pools the features' moments, the last one evaluates, those between train."""
    if round_ == 1:
        return "moments"
    return "train" if round_ <= plan.rounds.count + 1 else "evaluate"


def preset_up(plan: Plan, round_: int) -> Preset:
    """How a round's updates travel: moments and evaluations always exact."""
    return plan.codec.at(round_ - 1).up if task_of(plan, round_) == "train" else "exact"


def preset_down(plan: Plan, round_: int) -> Preset:
    """How the version that a round makes travels: moments are replaced, and so exact."""
    return plan.codec.at(round_ - 1).down if task_of(plan, round_) == "train" else "exact"


def last_round(plan: Plan) -> int:
    """The round after which the federation is finished."""
    return plan.rounds.count + 2
