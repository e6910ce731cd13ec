"""What must hold of secure sums: each is exact, and no two that can be open differ by fewer than three sites."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from fedfin.limits import LEAST_SUMMED
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages import Reveal
from fedfin.protocol.sum_states import OpenSum
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
    """All sums of one federation."""

    def __init__(self) -> None:
        self._summands: dict[tuple[int, str], Words] = {}
        self._attempts: dict[int, dict[bytes, _Attempt]] = defaultdict(dict)
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

    def opening(self, sum_: OpenSum, words: Words) -> None:
        """The aggregator has taken off the masks."""
        self.opened += 1
        assert len(sum_.survivors) >= LEAST_SUMMED, ("a sum of too few", sum_.survivors)
        true = np.sum([self._summands[sum_.round, site] for site in sum_.survivors], axis=0, dtype=np.uint64)
        assert (true == words).all(), ("a sum that is not exact", sum_.round, sum_.survivors)
