"""The second moments that sites give in one round: whose count, and how much of them.

A site's count once, also when it has forgotten that it gave them; no site's part is larger than the plan lets it be.
What all rounds' come to together is in pooled_second_moments.py.
"""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from fedfin_aggregator.closed_form.groups import is_grouped, plain_weights
from fedfin_aggregator.fold.fold import Fold, Sum
from fedfin_aggregator.fold.site_shares import SiteShares
from fedfin_aggregator.rounds.pooled_second_moments import SecondMoments
from fedfin_aggregator.store.journal import Journal

Sums = Mapping[str, Sum]
# Those of a journalled update, by group: its round, its site, its payload, what its cases are multiplied by (None: 1).
Open = Callable[[int, str, bytes, Fraction | None], Sums]


class GivenSecondMoments:
    """Of one round that is open. `open_` takes them out of an update that was accepted."""

    def __init__(
        self, journal: Journal, round_: int, open_: Open, *, max_share: float, weight_limit: int
    ) -> None:
        self._journal, self._round, self._open = journal, round_, open_
        self._weight_limit = weight_limit
        gave = journal.updates.gave_second_moments(before=round_)
        self._contributors = set(gave)
        self.newest = max(gave.values(), default=None)  # the last round before this one that added some
        self._shares = SiteShares(max_share)

    def has(self, site: str) -> bool:
        """Whether the site's count already."""
        return site in self._contributors

    def add(self, site: str, weights: Mapping[str, int]) -> None:
        """These count. weights: cases by tensor, as the site sent them."""
        self._contributors.add(site)
        self._shares.add(site, plain_weights(weights))

    def factors(self, pooled: SecondMoments) -> Mapping[str, Fraction]:
        """What those of sites that have too much of them are multiplied by. Raises StateError."""
        if self._shares.empty:
            return {}
        before = pooled.kept(self.newest)
        return self._shares.capped_sites(plain_weights({name: s.weight for name, s in before.items()}))

    def counted(self, folded: Sums, factors: Mapping[str, Fraction], refused: frozenset[str]) -> Sums:
        """All of them, with no site's part too large, and without those `refused`. folded: the round's sums."""
        if not factors and not refused:
            return {name: sum_ for name, sum_ in folded.items() if is_grouped(name)}
        fold = Fold(self._weight_limit)
        for _, sums in self.by_site(factors, refused):
            fold.merge(sums)
        return fold.sums

    def by_site(self, factors: Mapping[str, Fraction], refused: frozenset[str]) -> Iterator[tuple[str, Sums]]:
        """Each site that gave its own in this round, with these."""
        gave = {
            row.site for row in self._journal.updates.counted(self._round) if row.gave_second_moments
        } - refused
        for number, site, payload in self._journal.updates.payloads(self._round):
            if site in gave and (sums := self._open(number, site, payload, factors.get(site))):
                yield site, sums
