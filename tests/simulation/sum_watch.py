"""What must hold of secure sums: each is exact, and no two that can be open differ by fewer than three sites.

Two of different rounds only where both are of statistics; these may be over the same sites.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from fedfin.limits import LEAST_SUMMED
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages.secure_sums import Reveal
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.protocol.schedule import task_of
from fedfin.protocol.subtraction import answered_once
from fedfin.secure_sums.ledger import Kept
from fedfin.secure_sums.masks import Words


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

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._least = plan.privacy.least_sites_per_block or 0
        self._summands: dict[tuple[bytes, str], Words] = {}
        self._first: dict[tuple[int, str], Words] = {}
        self._attempts: dict[int, dict[bytes, _Attempt]] = defaultdict(dict)
        self._groups: set[frozenset[str]] = set()
        self._models: dict[bytes, bytes] = {}  # from which the values of an attempt were made
        self.opened = 0

    def giving(self, site: str, round_: int, attempt: bytes, words: Words) -> None:
        """A site has masked these: in a round always the same, less what too few of an attempt have."""
        first = self._first.setdefault((round_, site), words.copy())
        assert self._least or (first == words).all(), ("other values in the same round", site, round_)
        once = self._summands.setdefault((attempt, site), words.copy())
        assert (once == words).all(), ("other values in the same attempt", site, round_)

    def working_from(self, attempt: bytes, model: bytes) -> None:
        """A site has masked values made from this one: all of an attempt are from one."""
        assert model, "values from no model"
        assert self._models.setdefault(attempt, model) == model, "a sum of values from different models"

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
        rounds = [number for number in self._attempts if answered_once(task_of(self._plan, number))]
        sums = [a.survivors for number in rounds for a in self._attempts[number].values() if a.open]
        for one, other in combinations(sums if round_ in rounds else [], 2):
            most = len(one | other) + 1 if self._least else LEAST_SUMMED
            assert len(one ^ other) not in range(1, most), (
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
            summands = [self._summands[sum_.attempt, site] for site in group]
            true = np.sum(summands, axis=0, dtype=np.uint64)
            self._behind_each_tensor(sum_.round, summands)
            assert (true == row).all(), ("a sum that is not exact", sum_.round, group)
            self._beside_other_groups(group if sum_.groups else ())

    def _behind_each_tensor(self, round_: int, summands: list[Words]) -> None:
        """So many sites as the plan asks for, or none: words begin with the cases behind each."""
        tensors = len(task_specs(self._plan, task_of(self._plan, round_)))
        behind = np.count_nonzero(np.stack(summands)[:, :tensors], axis=0)
        assert not ((behind > 0) & (behind < self._least)).any(), ("a block of too few sites", round_, behind)

    def _beside_other_groups(self, group: tuple[str, ...]) -> None:
        """Sums of training by groups tell of the same sites, or of others altogether."""
        for other in self._groups:
            assert not set(group) & other or set(group) == other, ("groups that share sites", group, other)
        if group:
            self._groups.add(frozenset(group))
