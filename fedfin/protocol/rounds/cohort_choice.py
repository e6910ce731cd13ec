"""Which of the sites that are ready make a sum: none that shows one or two beside an earlier one, and whole groups.

What rules out a sum is in subtraction.py and sum_groups.py.
"""

from collections.abc import Collection

from fedfin.model.blocks import blocks_of
from fedfin.plan import Plan
from fedfin.protocol.cohorts import most_summed
from fedfin.protocol.rounds.sum_attempt import Attempt
from fedfin.protocol.schedule import task_of
from fedfin.protocol.subtraction import NO_COHORT, NOT_ALIKE, answered_once, largest_cohort
from fedfin.protocol.sum_groups import NO_GROUPS, deal, members, most_groups, whole


def no_cohort(plan: Plan, round_: int) -> str:
    """Why a round had none, though enough sites were ready."""
    if most_groups(plan, round_):
        return NO_GROUPS
    return NOT_ALIKE if plan.privacy.least_sites_per_block else NO_COHORT


class CohortChoice:
    """Of one round. `summed`: whom each secure sum of statistics before it holds.

    `earlier`: the sites of sums that this round's may be compared with; `grouped`: those of the run's first sum, where
    this round's is in groups, of which there are `most_groups` at most.
    """

    def __init__(self, plan: Plan, round_: int, summed: tuple[frozenset[str], ...] = ()) -> None:
        self._plan, self._round = plan, round_
        self._alike = bool(plan.privacy.least_sites_per_block)
        self.most_groups = most_groups(plan, round_)
        self.earlier = summed if summed and answered_once(task_of(plan, round_)) else ()
        self.grouped = tuple(sorted(summed[0])) if summed and self.most_groups else ()
        self._until: float | None = None  # when to wait no longer for who would complete a cohort

    @property
    def reason(self) -> str:
        """Why there is none."""
        return no_cohort(self._plan, self._round)

    @property
    def waiting(self) -> bool:
        """Whether who would complete one is waited for, or was."""
        return self._until is not None

    def wait(self, until: float) -> None:
        """The sites that are missing may come back until then."""
        self._until = until

    def waited(self, now: float) -> bool:
        """Whether they were waited for in vain."""
        return self._until is not None and now >= self._until

    def postpone(self, seconds: float) -> None:
        """The aggregator itself was cut off for so long."""
        if self._until is not None:
            self._until += seconds

    def ready(self, answered: Collection[str]) -> tuple[str, ...]:
        """Of those that have answered, as many as one sum can hold, sorted."""
        return tuple(sorted(answered)[: most_summed(self._plan)])

    def missing(self, ready: tuple[str, ...]) -> tuple[str, ...]:
        """Whom an earlier sum holds, and who is not among those that are ready."""
        return tuple(sorted(frozenset(self.grouped).union(*self.earlier) - set(ready)))

    def cohort(self, answered: Collection[str], now: float) -> tuple[str, ...] | None:
        """The most of them that may make a sum, or None. Once others were waited for, more sites are left out."""
        least = self._plan.rounds.min_sites
        if not self.most_groups:
            ready, leave_out = self.ready(answered), self.waited(now)
            return largest_cohort(ready, self.earlier, least, leave_out=leave_out, alike=self._alike)
        names = members(whole(deal(self.grouped, self.most_groups), answered))
        return names if len(names) >= least else None

    def attempt(self, run: str, id_: bytes, names: tuple[str, ...]) -> Attempt:
        """One at the sum of this cohort."""
        return Attempt(
            run,
            self._round,
            id_,
            names,
            self._plan.rounds.min_sites,
            self.earlier,
            grouped=self.grouped,
            most_groups=self.most_groups,
            blocks=blocks_of(self._plan, task_of(self._plan, self._round)),
        )
