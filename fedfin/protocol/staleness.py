"""How much an update still counts that started from an older version: (1 + staleness)^-exponent, exactly.

The weight is that of FedBuff (Nguyen et al. 2022, arXiv 2106.06639, there with exponent 1/2): it scales the update's
delta but not the number of cases that the mean is divided by, so that stale news moves the model less.
"""

import functools

from fedfin.plan import Plan
from fedfin.protocol.schedule import task_of

SHARE_BITS = 16
FULL = 1 << SHARE_BITS  # the share of an update that is not stale


@functools.cache
def share(staleness: int, exponent: float) -> int:
    """FULL * (1 + staleness)^-exponent, rounded down, at least 1; `exponent` counts to two decimals.

    In integers, because every machine must find the same one and pow() is not the same everywhere: with exponent
    p/100, the largest m with m^100 * (1 + staleness)^p <= FULL^100.
    """
    bound, divisor = FULL**100, (1 + staleness) ** round(100 * exponent)
    low, high = 1, FULL
    while low < high:
        middle = (low + high + 1) // 2
        if middle**100 * divisor <= bound:
            low = middle
        else:
            high = middle - 1
    return low


def late_share(plan: Plan, round_: int, current: int) -> int | None:
    """The share with which an update for `round_` counts while round `current` is open; None: it does not.

    FULL in its own round. Both ends ask this: the aggregator before it takes an update, the site before it goes on
    working on one.
    """
    if round_ == current:
        return FULL
    stale = current - round_
    folds = plan.rounds.mode == "async" or plan.rounds.late == "fold"
    training = task_of(plan, round_) == task_of(plan, current) == "train"
    if not folds or not training or not 0 < stale <= plan.rounds.staleness_limit:
        return None
    return share(stale, plan.rounds.staleness_exponent)
