"""How a plan's epsilon and delta are shared among what is released.

    side        patients                      released of them, once
    training    those that train              second moments and label products, jointly
    held out    those kept for evaluation     histograms of scores

No patient is on both sides, so each side has the whole budget (parallel composition; McSherry, SIGMOD 2009). On a side
the costs of all releases are added: of every run and plan that the same folder took part in.
"""

from typing import Literal

from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.privacy.accountant import epsilon_of, rho_of

Side = Literal["training", "held out"]
SIDES: dict[Task, Side] = {"second_moments": "training", "evaluate": "held out"}
_ROUNDING = 1e-9  # relative: sums of floats


class Budget:
    """Of one plan. Raises ValueError for an epsilon or delta that promises nothing."""

    def __init__(self, epsilon: float, delta: float) -> None:
        self.epsilon, self.delta = epsilon, delta
        self.rho = rho_of(epsilon, delta)

    def rho_of_task(self, task: Task) -> float:
        """What a round of this task may cost: its side's only release has all. Raises KeyError for another task."""
        assert SIDES[task]
        return self.rho

    def allows(self, rho: float) -> bool:
        """Whether so much in all is within it."""
        return rho <= self.rho * (1 + _ROUNDING)

    def promise(self, rho: float) -> float:
        """The epsilon that so much in all stands for, at the plan's delta."""
        return epsilon_of(rho, self.delta)


def budget_of(plan: Plan) -> Budget:
    """A plan's."""
    return Budget(plan.privacy.epsilon, plan.privacy.delta)
