"""What each round is for: its task, and how its traffic is compressed."""

from fedfin.codec import Preset
from fedfin.model.model_spec import Task, needs_second_moments
from fedfin.plan import Plan


def task_of(plan: Plan, round_: int) -> Task:
    """Moments first, second moments if the plan needs them; then training, calibration if it needs that, evaluation.

    With noise second moments and evaluation alone: one exchange, and how good its model is.
    """
    if plan.privacy.noised:
        return "second_moments" if round_ == 1 else "evaluate"
    if round_ == 1:
        return "moments"
    if round_ < first_training_round(plan):
        return "second_moments"
    if _training(plan, round_) <= plan.rounds.count:
        return "train"
    return "calibrate" if round_ < last_round(plan) else "evaluate"


def first_training_round(plan: Plan) -> int:
    """Training begins here; with noise, where there is none, evaluation."""
    if plan.privacy.noised:
        return 2
    return 3 if needs_second_moments(plan) else 2


def after_training(plan: Plan) -> int:
    """The first round after training, which may come early: rounds of training that nobody needs are left out."""
    return first_training_round(plan) + plan.rounds.count


def preset_up(plan: Plan, round_: int) -> Preset:
    """How a round's updates travel: all but training's exact."""
    return plan.codec.at(_training(plan, round_)).up if task_of(plan, round_) == "train" else "exact"


def preset_down(plan: Plan, round_: int) -> Preset:
    """How the version that a round makes travels: what is replaced exact."""
    return plan.codec.at(_training(plan, round_)).down if task_of(plan, round_) == "train" else "exact"


def last_round(plan: Plan) -> int:
    """The round after which the federation is finished."""
    if plan.privacy.noised:
        return 2
    return after_training(plan) + (plan.model.answer == "both")


def _training(plan: Plan, round_: int) -> int:
    """Which round of training this is, from 1."""
    return round_ - first_training_round(plan) + 1
