"""Time as a number, and what is due when."""

import heapq
import itertools
from collections.abc import Callable


class Clock:
    """The one scheduler: everything that happens is an action on its agenda."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []

    def monotonic(self) -> float:
        """What time.monotonic() says in here."""
        return self.now

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), action))

    def step(self) -> None:
        """Do what is due next."""
        self.now, _, action = heapq.heappop(self._agenda)
        action()
