"""How much an update still counts that started from an older version: (1 + staleness)^-exponent, exactly.

The weight is that of FedBuff (Nguyen et al. 2022, arXiv 2106.06639, there with exponent 1/2): it scales the update's
delta but not the number of cases that the mean is divided by, so that stale news moves the model less.
"""

import functools

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
