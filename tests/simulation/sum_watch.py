"""What must hold of secure sums: each is exact, and no two that can be open differ by fewer than three sites.

Two of different rounds only where both are of statistics; these may be over the same sites.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from fedfin.limits import LEAST_SUMMED
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages.secure_sums import Reveal
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.secure_sums.masks import Words
from fedfin.secure_sums.member import Kept


@dataclass
class _Attempt:
    survivors: frozenset[str]
    needed: int
    revealed: set[str] = field(default_factory=set)

    @property
    def open(self) -> bool:
        """Whether who has read everything on the way can open it, whatever became of it since."""
        return len(self.revealed) >= self.needed


class SumWatch:
    """All sums of one federation. `statistics`: whether those of a round are such, and not of training."""

    def __init__(self, statistics: Callable[[int], bool]) -> None:
        self._statistics = statistics
        self._summands: dict[tuple[int, str], Words] = {}
        self._attempts: dict[int, dict[bytes, _Attempt]] = defaultdict(dict)
        self._groups: set[frozenset[str]] = set()
        self.opened = 0

    def giving(self, site: str, round_: int, words: Words) -> None:
        """A site is about to mask these: in a round always the same."""
        first = self._summands.setdefault((round_, site), words.copy())
        assert (first == words).all(), ("other values in the same round", site, round_)

    def revealing(self, site: str, kept: Kept, reveal: Reveal) -> None:
        """Shares are about to leave."""
        attempts = self._attempts[reveal.round]
        attempt = attempts.setdefault(
            reveal.attempt, _Attempt(frozenset(kept.survivors), threshold(len(kept.names)))
        )
        assert attempt.survivors == frozenset(kept.survivors), (
            "two lists for one attempt",
            site,
            reveal.round,
        )
        attempt.revealed.add(site)
        for one, other in combinations([a.survivors for a in attempts.values() if a.open], 2):
            assert len(one ^ other) >= LEAST_SUMMED, (
                "two sums tell of fewer than three",
                reveal.round,
                one,
                other,
            )

        self._beside_other_rounds(reveal.round)

    def _beside_other_rounds(self, round_: int) -> None:
        """Whoever subtracts two sums of statistics learns of no site, or of three or more."""
        rounds = [number for number in self._attempts if self._statistics(number)]
        sums = [a.survivors for number in rounds for a in self._attempts[number].values() if a.open]
        for one, other in combinations(sums if round_ in rounds else [], 2):
            assert len(one ^ other) not in range(1, LEAST_SUMMED), (
                "one sum less another shows a site",
                one,
                other,
            )

    def opening(self, sum_: OpenSum, words: Words) -> None:
        """The aggregator has taken off the masks. words: a row for each group, or one."""
        self.opened += 1
        assert len(sum_.survivors) >= LEAST_SUMMED, ("a sum of too few", sum_.survivors)
        for group, row in zip(sum_.groups or (sum_.survivors,), words, strict=True):
            assert len(group) >= LEAST_SUMMED, ("a group of too few", group)
            true = np.sum([self._summands[sum_.round, site] for site in group], axis=0, dtype=np.uint64)
            assert (true == row).all(), ("a sum that is not exact", sum_.round, group)
            self._beside_other_groups(group if sum_.groups else ())

    def _beside_other_groups(self, group: tuple[str, ...]) -> None:
        """Sums of training by groups tell of the same sites, or of others altogether."""
        for other in self._groups:
            assert not set(group) & other or set(group) == other, ("groups that share sites", group, other)
        if group:
            self._groups.add(frozenset(group))
