"""The noise of a sum, drawn in shares at the sites: none of them, and not the aggregator, knows all of it.

A sum is opened of `min_sites` sites or more, and a site knows its own share. So the shares of all but one of the fewest
sites are as much noise as the promise needs: it holds against the aggregator, against any one site, and against both
together. Against c sites that tell each other, of n in a sum, the noise that is left has (n - c) / (min_sites - 1) of
the variance, and the cost is as many times more.
"""

import math

from fedfin.errors import SettingsError
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.privacy.accountant import rho_of_noise
from fedfin.privacy.budget import rho_of_round
from fedfin.privacy.clipping import STEPS
from fedfin.privacy.discrete_gaussian import MOST_VARIANCE

# Of a share, in steps squared. A sum of discrete Gaussians is nearly one: from here on the difference adds less than
# 1e-30 to rho, for 512 sites and 2^25 values (Kairouz, Liu and Steinke, arXiv 2102.06387, Theorem 1).
LEAST_VARIANCE = 10


def share_variance(rho: float, min_sites: int) -> int:
    """Of one site's share, in steps squared, so that a sum costs at most rho. min_sites: 2 or more.

    Raises SettingsError where that is more noise than can be drawn.
    """
    others = min_sites - 1
    variance = max(LEAST_VARIANCE, math.ceil(rho_of_noise(STEPS, rho) / others))
    if variance > MOST_VARIANCE:
        raise SettingsError(
            f"privacy.epsilon and delta allow a sum rho = {rho:.2g}: more noise than can be drawn; rho must be"
            f" {rho_of_noise(STEPS, MOST_VARIANCE * others):.2g} or more. Raise privacy.epsilon, or rounds.min_sites"
        )
    return variance


def share_of(plan: Plan, task: Task) -> int:
    """Of one site's share in a round of this task. Raises SettingsError."""
    return share_variance(rho_of_round(plan, task), plan.rounds.min_sites)


def cost(variance: int, sites: int) -> float:
    """What a sum with the noise of so many shares costs, in rho."""
    return rho_of_noise(STEPS, variance * sites)
