"""Who has answered a round, and when it is over: the plan's [rounds], as pure decisions.

    enough updates came (`sites`; asynchronous: `buffer`)                    close
    all who can still answer have, and they are at least `min_sites`         close
    the deadline passed, with at least `min_sites`                           close
    the deadline passed, with fewer                                          stall: everyone is asked, one more deadline

Moments and evaluations are asked of everyone and cannot be late: they describe the federation, so every site that
is there is waited for. In training, a late update is refused, or, when the plan says so, folded into the round that
is open then, with a weight that shrinks with its staleness. The asynchronous mode is the same machine with a small
buffer for a target: a site that is slow is neither waited for nor interrupted, and what it sends is folded when it
comes (FedBuff: Nguyen et al. 2022, arXiv 2106.06639).
"""

from collections.abc import Iterator
from enum import Enum

from fedfin.model.model_spec import Task
from fedfin.plan_sections import Rounds
from fedfin.protocol import invitation
from fedfin.protocol.rounds.roster import Roster


class Verdict(Enum):
    """What to do about a round now."""

    WAIT = "wait"
    CLOSE = "close"
    STALL = "stall"


class Attendance:
    """One round: who is asked, who has answered, and whether that is enough."""

    def __init__(
        self, rounds: Rounds, roster: Roster, *, run: str, round_: int, task: Task, now: float
    ) -> None:
        self._rounds, self._roster, self._task = rounds, roster, task
        self._run, self._round = run, round_
        self._deadline = now + rounds.deadline_s
        self._answers: dict[str, bool] = {}  # accepted or not, by site
        self._late = 0
        self.threshold = invitation.EVERYONE
        if task == "train":
            self.threshold = invitation.threshold(run, round_, list(roster.expected(now)), rounds.invite)

    def left(self, now: float) -> float:
        """Seconds to the deadline."""
        return max(0.0, self._deadline - now)

    @property
    def accepted(self) -> int:
        """How many updates count towards target and quorum: late ones do only where no round is waited for."""
        late = self._late if self._buffered else 0
        return late + sum(self._answers.values())

    @property
    def quorum(self) -> int:
        """With fewer updates than this the round cannot close."""
        return min(self._rounds.min_sites, self._target)

    def answer(self, site: str, *, accepted: bool) -> None:
        """The site has its receipt for this round; one that refuses a second update does not undo the first."""
        self._answers[site] = accepted or self._answers.get(site, False)

    def withdraw(self, site: str) -> None:
        """What it answered is not to be had any more: it owes an answer again."""
        self._answers.pop(site, None)

    @property
    def answered(self) -> list[str]:
        """The sites whose answers count."""
        return [site for site, accepted in self._answers.items() if accepted]

    def late(self, count: int) -> None:
        """So many updates for earlier rounds were folded into this one."""
        self._late += count

    def owing(self, now: float) -> Iterator[str]:
        """The sites that were asked, can still answer, and have not."""
        for site in self._roster.expected(now):
            if site not in self._answers and self._asks(site):
                yield site

    def away(self, now: float) -> Iterator[str]:
        """The sites that were asked and have not answered, but are not waited for."""
        expected = set(self._roster.expected(now))
        for site in self._roster.silent:
            if site not in self._answers and site not in expected and self._asks(site):
                yield site

    def verdict(self, now: float) -> Verdict:
        """Close, stall, or wait on. A deadline that passed is held against those who owe an answer."""
        if self.accepted >= self.quorum:
            if self._full or now >= self._deadline or self._complete(now):
                return Verdict.CLOSE
        elif now >= self._deadline:
            return Verdict.STALL
        return Verdict.WAIT

    def end(self, now: float) -> None:
        """The round is about to close: who let its deadline pass becomes silent."""
        if now >= self._deadline:
            self._roster.miss(list(self.owing(now)))

    def stall(self, now: float) -> tuple[str, ...]:
        """One more deadline, for everyone. Those who owe an answer become silent, and are returned."""
        missed = tuple(self.owing(now))
        self._roster.miss(missed)
        self.threshold = invitation.EVERYONE
        self._deadline = now + self._rounds.deadline_s
        return missed

    def postpone(self, seconds: float) -> None:
        """The aggregator itself was cut off for so long: no site is to blame for that."""
        self._deadline += seconds

    def _asks(self, site: str) -> bool:
        everyone = self.threshold == invitation.EVERYONE  # no hash for each of a thousand sites then
        return everyone or invitation.draw(self._run, self._round, site) <= self.threshold

    @property
    def _buffered(self) -> bool:
        return self._rounds.mode == "async" and self._task == "train"

    @property
    def _target(self) -> int:
        return self._rounds.buffer_size if self._buffered else self._rounds.sites

    @property
    def _full(self) -> bool:
        return self._task == "train" and self.accepted >= self._target

    def _complete(self, now: float) -> bool:
        strangers = self._roster.strangers and len(self._roster) < self._rounds.sites
        return not strangers and next(self.owing(now), None) is None
