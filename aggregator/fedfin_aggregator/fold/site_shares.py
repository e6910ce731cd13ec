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

    @property
    def empty(self) -> bool:
        """Whether nobody has a part that is bounded."""
        return not self._cases

    def capped(self) -> dict[tuple[str, str], Fraction]:
        """(tensor, site) to what its weights are multiplied by; of those that are too much, and no others."""
        return {
            (name, site): Fraction(most, count)
            for name, cases, most in _excess(self._cases, self._most, {})
            for site, count in cases.items()
            if count > most
        }

    def capped_sites(self, before: Mapping[str, int]) -> dict[str, Fraction]:
        """Site to what all its weights are multiplied by: blocks of one matrix stay in proportion.

        before: cases of each tensor that earlier rounds have counted, in parts that were held to the same bound.
        """
        factors: dict[str, Fraction] = {}
        while excess := _excess(self._scaled(factors), self._most, before):
            cuts: dict[str, Fraction] = {}
            for _, cases, most in excess:
                over = {site: Fraction(most, count) for site, count in cases.items() if count > most}
                cuts |= {site: min(cut, cuts.get(site, cut)) for site, cut in over.items()}
            factors |= {site: cut * factors.get(site, 1) for site, cut in cuts.items()}
        return factors

    def _scaled(self, factors: Mapping[str, Fraction]) -> dict[str, dict[str, int]]:
        return {
            name: {site: scaled(count, factors.get(site)) for site, count in cases.items()}
            for name, cases in self._cases.items()
        }


def scaled(cases: int, factor: Fraction | None) -> int:
    """So many cases as they count; at least one."""
    return cases if factor is None else max(1, int(cases * factor))


def _excess(
    cases: Mapping[str, Mapping[str, int]], share: Fraction, before: Mapping[str, int]
) -> list[tuple[str, Mapping[str, int], int]]:
    """Each tensor of which a site has too much: its name, the cases by site, the most that one may count."""
    found = [
        (name, counts, _most_cases(sorted(counts.values(), reverse=True), share, before.get(name, 0)))
        for name, counts in cases.items()
    ]
    return [(name, counts, most) for name, counts, most in found if max(counts.values()) > most]


def _most_cases(counts: list[int], share: Fraction, before: int) -> int:
    """The most cases that one may count, so that none is more than `share` of what all then are; at least one.

    counts: largest first. With `k` of them cut down to c, c = share (k c + the rest). Of too few for the share to be
    possible all count alike.
    """
    if len(counts) <= FEW and not before:
        return counts[0]
    rest = before + sum(counts)
    for cut, count in enumerate(counts):
        if count <= share * (cut * count + rest):
            return count if cut == 0 else max(1, int(share * rest / (1 - cut * share)))
        rest -= count
    return max(1, int(share * before / (1 - len(counts) * share))) if before else counts[-1]
