"""How a plan's epsilon and delta are shared among what is released.

    side           patients                         released of them
    training       those that train                 second moments and label products, jointly; each round's gradients
    calibration    those that calibrate the head    second moments and label products; what the head says of them
    held out       those kept for evaluation        histograms of scores

No patient is on two sides, so each side has the whole budget (parallel composition; McSherry, SIGMOD 2009). On a side
the costs of all releases are added: of every run and plan that the same folder took part in. So calibration costs
nobody more than training does.
"""

from typing import Literal

from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.privacy.accountant import epsilon_of, rho_of

Side = Literal["training", "calibration", "held out"]
SIDES: dict[Task, tuple[Side, ...]] = {
    "second_moments": ("training", "calibration"),
    "train": ("training",),
    "calibrate": ("calibration",),
    "evaluate": ("held out",),
}
_ROUNDING = 1e-9  # relative: sums of floats


class Budget:
    """Of one plan. Raises ValueError for an epsilon or delta that promises nothing."""

    def __init__(self, epsilon: float, delta: float) -> None:
        self.epsilon, self.delta = epsilon, delta
        self.rho = rho_of(epsilon, delta)

    def allows(self, rho: float) -> bool:
        """Whether so much in all is within it."""
        return rho <= self.rho * (1 + _ROUNDING)

    def promise(self, rho: float) -> float:
        """The epsilon that so much in all stands for, at the plan's delta."""
        return epsilon_of(rho, self.delta)


TRAINING_SHARE = 0.5  # of a plan that does not say


def budget_of(plan: Plan) -> Budget:
    """A plan's."""
    return Budget(plan.privacy.epsilon, plan.privacy.delta)


def rho_of_round(plan: Plan, task: Task) -> float:
    """What a round of this task may cost, of a plan with noise. Raises KeyError for a task that has none."""
    assert SIDES[task]
    whole = budget_of(plan).rho
    if task == "evaluate" or not plan.trains:
        return whole
    share = plan.privacy.training_share or TRAINING_SHARE
    if task == "second_moments":
        return (1 - share) * whole
    return share * whole / (plan.rounds.count if task == "train" else 1)
