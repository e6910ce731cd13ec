"""Who of a cohort says that what which other site has dealt is of no use to it. Pure bookkeeping, no I/O.

Whoever says so may lie. So a site is left out of the next attempts when a third of the cohort, and two at least, say it
of that one: less than a third that lie together can put nobody out. One that fewer accuse stays; they are not in the
sum. Where a third has no use of what a site dealt, more than two thirds cannot be in a sum with it: nothing is lost.
"""

from collections.abc import Iterable

_LEAST = 2  # of a cohort of three, a third is one


def enough_accusers(sites: int) -> int:
    """How many of a cohort put a site out."""
    return max(_LEAST, -(-sites // 3))


class Accusations:
    """In one attempt. `names`: its cohort."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._accused: dict[str, frozenset[str]] = {}  # of whom, by who says it

    def add(self, site: str, accused: Iterable[str]) -> None:
        """Each site says it once, and of others of the cohort alone."""
        if site in self._names:
            self._accused.setdefault(site, self._names.intersection(accused) - {site})

    def against(self, site: str) -> tuple[str, ...]:
        """Who says it of this one."""
        return tuple(sorted(name for name, accused in self._accused.items() if site in accused))

    @property
    def upheld(self) -> tuple[str, ...]:
        """Of whom enough say it."""
        enough = enough_accusers(len(self._names))
        return tuple(name for name in sorted(self._names) if len(self.against(name)) >= enough)

    @property
    def excused(self) -> frozenset[str]:
        """Whose silence is not their fault: who says it of one of those."""
        return frozenset(name for bad in self.upheld for name in self.against(bad))
