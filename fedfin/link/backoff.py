"""How long to wait before the next attempt to connect."""

import random
from collections.abc import Callable

FIRST_S = 1.0
LONGEST_S = 30.0
STOOD_S = 5.0  # a connection that stood this long was a good one: the next attempt comes soon


class Backoff:
    """Waits that double, with jitter: a fleet that lost its broker must not return in one instant."""

    def __init__(self, draw: Callable[[float, float], float] = random.uniform) -> None:
        self._draw = draw
        self._delay = FIRST_S

    def after(self, stood_s: float) -> float:
        """Seconds to wait after a connection that stood for `stood_s` (0: there was none)."""
        if stood_s >= STOOD_S:
            self._delay = FIRST_S
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_S)
        return delay * self._draw(0.5, 1.5)
