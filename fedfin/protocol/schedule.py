"""What each round is for: its task, and how its traffic is compressed."""

from fedfin.codec import Preset
from fedfin.codec.presets import LEVELS, Levels
from fedfin.model.model_spec import Task, needs_second_moments
from fedfin.plan import Plan


def task_of(plan: Plan, round_: int) -> Task:
    """Moments first, second moments if the plan needs them; then training, calibration if it needs that, evaluation.

    With noise nobody pools moments, and experts alone are one exchange and its evaluation.
    """
    if round_ == 1 and not plan.privacy.noised:
        return "moments"
    if round_ < first_training_round(plan):
        return "second_moments"
    if _training(plan, round_) <= _trainings(plan):
        return "train"
    return "calibrate" if round_ < last_round(plan) else "evaluate"


def first_training_round(plan: Plan) -> int:
    """Training begins here; where there is none, evaluation."""
    moments = 0 if plan.privacy.noised else 1
    return 1 + moments + needs_second_moments(plan)


def after_training(plan: Plan) -> int:
    """The first round after training, which may come early: rounds of training that nobody needs are left out."""
    return first_training_round(plan) + _trainings(plan)


def preset_up(plan: Plan, round_: int) -> Preset:
    """How a round's updates are coded: all but training's exact, and whole steps, too."""
    match plan.codec.at(_training(plan, round_)).up:
        case "int8" | "int4" | "int2":
            return "exact"
        case preset:
            return preset if task_of(plan, round_) == "train" else "exact"


def levels_up(plan: Plan, round_: int) -> Levels | None:
    """How a round rounds its updates to whole steps; None: it does not."""
    match plan.codec.at(_training(plan, round_)).up:
        case "int8" | "int4" | "int2" as preset:
            return LEVELS[preset] if task_of(plan, round_) == "train" else None
        case _:
            return None


def preset_down(plan: Plan, round_: int) -> Preset:
    """How the version that a round makes travels: what is replaced exact."""
    return plan.codec.at(_training(plan, round_)).down if task_of(plan, round_) == "train" else "exact"


def last_round(plan: Plan) -> int:
    """The round after which the federation is finished."""
    return after_training(plan) + (plan.model.answer == "both")


def _trainings(plan: Plan) -> int:
    """How many rounds of it there are."""
    return plan.rounds.count if plan.trains else 0


def _training(plan: Plan, round_: int) -> int:
    """Which round of training this is, from 1."""
    return round_ - first_training_round(plan) + 1
