"""Which sites of a cohort say of which others that what these dealt is of no use to them. Pure bookkeeping, no I/O.

Of the two of such a pair one is bad, and nobody else can tell which: who deals may deal badly, and who says so may lie.
While enough others make the sum, only who says so is not in it. Where an attempt fails of it, the next ones are without
one of each pair: whoever is in more pairs than any other, first; of pairs that are left, both. So one site that deals
badly to several is put out alone, as is one that accuses several. Some that lie together put out fewer than they are.
"""

from collections import Counter
from collections.abc import Iterable


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

    def by(self, site: str) -> tuple[str, ...]:
        """Of whom this one says it."""
        return tuple(sorted(self._accused.get(site, ())))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Without whom no pair is left, sorted."""
        pairs = {frozenset((name, bad)) for name, accused in self._accused.items() for bad in accused}
        out: set[str] = set()
        while pairs:
            counts = Counter(name for pair in pairs for name in pair)
            most = max(counts.values())
            out |= {name for name, count in counts.items() if count == most}
            pairs = {pair for pair in pairs if not pair & out}
        return tuple(sorted(out))

    @property
    def excused(self) -> frozenset[str]:
        """Whose silence is not their fault: who says it of anybody."""
        return frozenset(name for name, accused in self._accused.items() if accused)
