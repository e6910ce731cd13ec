"""Plain means of the numbers that sites tell beside their updates. Exact until the end, as the fold is.

So they do not depend on the order of arrival, on a restart, or on how sites are split over shards.
"""

from collections.abc import Mapping
from fractions import Fraction


class Means:
    """Of the accepted updates of one round: how many they are, their bytes, and each metric's mean."""

    def __init__(self) -> None:
        self.updates = 0
        self.bytes = 0
        self.sums: dict[str, tuple[Fraction, int]] = {}  # each metric's sum, and how many sites sent it

    def add(self, size: int, metrics: Mapping[str, float]) -> None:
        """One update of `size` bytes."""
        self.merge(1, size, {name: (Fraction(value), 1) for name, value in metrics.items()})

    def merge(self, updates: int, size: int, sums: Mapping[str, tuple[Fraction, int]]) -> None:
        """Several updates."""
        self.updates += updates
        self.bytes += size
        for name, (total, count) in sums.items():
            known, before = self.sums.get(name, (Fraction(), 0))
            self.sums[name] = known + total, before + count

    def results(self) -> dict[str, float]:
        """As the journal keeps them."""
        means = {name: float(total / count) for name, (total, count) in sorted(self.sums.items())}
        return means | {"sites": float(self.updates), "bytes": float(self.bytes)}
