"""How much of each sum is one site's: `rounds.max_share` of the plan bounds it, where three or more sites have a part.

A site that claims more cases than that counts as many as make it just that part: it is not refused, since large sites
are honest, too. Exact, and the same whatever order updates came in.
"""

from collections.abc import Mapping
from fractions import Fraction

FEW = 2  # sites, of which each may have any part


class SiteShares:
    """Of one round."""

    def __init__(self, max_share: float) -> None:
        self._most = Fraction(max_share)
        self._cases: dict[str, dict[str, int]] = {}  # by tensor and site

    def add(self, site: str, weights: Mapping[str, int]) -> None:
        """One update; all of a site's in a round count together."""
        if self._most < 1:
            for name, weight in weights.items():
                cases = self._cases.setdefault(name, {})
                cases[site] = cases.get(site, 0) + weight

    def capped(self) -> dict[tuple[str, str], Fraction]:
        """(tensor, site) to what its weights are multiplied by; of those that are too much, and no others."""
        return {
            (name, site): Fraction(most, count)
            for name, cases in self._cases.items()
            for most in [_most_cases(sorted(cases.values(), reverse=True), self._most)]
            for site, count in cases.items()
            if count > most
        }


def _most_cases(counts: list[int], share: Fraction) -> int:
    """The most cases that one may count, so that none is more than `share` of what all then are; at least one.

    counts: largest first. With `k` of them cut down to c, c = share (k c + the rest). Of too few for the share to be
    possible all count alike.
    """
    if len(counts) <= FEW:
        return counts[0]
    rest = sum(counts)
    for cut, count in enumerate(counts):
        if count <= share * (cut * count + rest):
            return count if cut == 0 else max(1, int(share * rest / (1 - cut * share)))
        rest -= count
    return counts[-1]
