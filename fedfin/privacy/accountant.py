"""Zero-concentrated differential privacy: what a release costs, and what all of them together promise.

A release costs rho (Bun and Steinke, arXiv 1605.02065). Costs add up, whatever the later releases depend on. Their sum
becomes the (epsilon, delta) that a plan states by Corollary 13 of Canonne, Kamath and Steinke, arXiv 2004.00010, the
tightest that holds for every mechanism of that rho.

Neighbours differ in one patient, who is there or is not.
"""

import functools
import math

_HALVINGS = 100  # of an interval: beyond what doubles tell apart


def rho_of_noise(sensitivity: float, variance: float) -> float:
    """What one release with Gaussian noise, discrete or not, costs (arXiv 2004.00010, Theorem 4).

    sensitivity: the L2 norm of what one patient can change. Raises ValueError unless variance > 0.
    """
    if variance <= 0:
        raise ValueError("noise needs a variance above 0")
    return sensitivity**2 / (2 * variance)


def delta_of(rho: float, epsilon: float) -> float:
    """The delta that rho promises at this epsilon: least over the orders alpha of Renyi's divergence."""
    if rho <= 0:
        return 0.0
    low, high = 1.0, (epsilon + 1) / (2 * rho) + 2  # the bound falls up to the best order, then it rises
    for _ in range(_HALVINGS):
        alpha = (low + high) / 2
        if alpha > 1 and (2 * alpha - 1) * rho - epsilon + math.log1p(-1 / alpha) >= 0:
            high = alpha
        else:
            low = alpha
    log_delta = (high - 1) * (high * rho - epsilon) + high * math.log1p(-1 / high) - math.log(high - 1)
    return math.exp(min(log_delta, 0.0))


def epsilon_of(rho: float, delta: float) -> float:
    """The epsilon that rho promises at this delta. Raises ValueError unless 0 < delta < 1."""
    _check_delta(delta)
    low, high = (
        0.0,
        rho + 2 * math.sqrt(rho * math.log(1 / delta)),
    )  # Bun and Steinke's bound, which is looser
    for _ in range(_HALVINGS):
        epsilon = (low + high) / 2
        low, high = (low, epsilon) if delta_of(rho, epsilon) <= delta else (epsilon, high)
    return high


@functools.lru_cache(maxsize=16)  # 6 ms, and each round asks for it
def rho_of(epsilon: float, delta: float) -> float:
    """The largest rho that keeps to (epsilon, delta). Raises ValueError unless epsilon > 0 and 0 < delta < 1."""
    _check_delta(delta)
    if epsilon <= 0:
        raise ValueError("epsilon must be above 0")
    low, high = 0.0, epsilon + 1
    for _ in range(_HALVINGS):
        rho = (low + high) / 2
        low, high = (rho, high) if delta_of(rho, epsilon) <= delta else (low, rho)
    return low


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError("delta must be above 0 and below 1")
