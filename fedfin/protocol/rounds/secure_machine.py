"""The aggregator's side of rounds with secure sums, sans-IO: as RoundMachine, but sites answer with masked values.

A site that has computed its values says that it is ready. When a plain round would close, those that are ready are the
cohort of an attempt at one sum (sum_attempt.py). An attempt that loses too many is given up before anybody revealed
anything, and those that are left make the next one (attempts.py), without whom enough sites accuse of bad shares
(accusations.py). When shares are missing that were asked for, no other sum may take its place: after two deadlines the
round closes without any.

No sum of statistics may show one or two sites beside an earlier one (subtraction.py). Where every sum of those that are
ready would, the round waits for one more deadline; then it leaves out more sites, or closes without a sum. So it does
where the plan wants training's sums in groups, and too few of these are there whole (sum_groups.py).
"""

import os
from collections.abc import Callable, Iterable

from fedfin import limits
from fedfin.plan import Plan
from fedfin.protocol.cohorts import key_statement, survivors_statement
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.joining import Decline, Welcome
from fedfin.protocol.messages.secure_sums import Consent, Dealing, Ready, Reveal, Summed, SumMessage
from fedfin.protocol.messages.transfers import Begin, Receipt
from fedfin.protocol.rounds.attempts import GIVEN_UP, NEEDED, Attempts
from fedfin.protocol.rounds.attendance import Verdict
from fedfin.protocol.rounds.cohort_choice import CohortChoice
from fedfin.protocol.rounds.effects import CloseRound, Effect, Send, Stalled
from fedfin.protocol.rounds.events import Judged, Opened, Reconnected, SumEnded, Tick
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.rounds.states import State
from fedfin.protocol.rounds.sum_attempt import Attempt, Phase
from fedfin.protocol.rounds.sum_effects import (
    AwaitCohort,
    BadDealing,
    FixSum,
    GiveUpSum,
    GoesOn,
    KeepSum,
    NewSum,
    NoCohort,
    TellOutcome,
)
from fedfin.protocol.schedule import task_of
from fedfin.protocol.subtraction import PASSED_OVER

Verify = Callable[[str, bytes, bytes], bool]  # site, statement, signature


class SecureRoundMachine(RoundMachine):
    """`verify`: whether the charter's site signed this. `is_weak`: whether an X25519 key is of small order."""

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        max_update_bytes: int,
        verify: Verify,
        is_weak: Callable[[bytes], bool],
        chunk_size: int = limits.MOST_CHUNK_BYTES,
        enrolled: frozenset[str] | None = None,
        life: Life = FIRST_LIFE,
        new_id: Callable[[], bytes] = lambda: os.urandom(16),
    ) -> None:
        super().__init__(
            plan,
            run=run,
            max_update_bytes=max_update_bytes,
            chunk_size=chunk_size,
            enrolled=enrolled,
            life=life,
        )
        self._verify, self._is_weak, self._new_id = verify, is_weak, new_id
        self._model = b""  # the id of the version that this round starts from
        self._attempt: Attempt | None = None
        self._phase_ends = 0.0
        self._attempts = Attempts(task_of(plan, 0))  # at this round's sum
        self._choice = CohortChoice(plan, 0)  # of this round's cohort
        self._receipts: dict[str, Receipt] = {}  # of this round's sum, once it is open
        self._passing: set[str] = set()  # who has answered this round in an earlier life, and does not again
        self._handlers[SumEnded] = self._sum_ended
        self._messages |= {
            Ready: self._ready,
            Dealing: self._dealing,
            Consent: self._consent,
            Reveal: self._reveal,
        }

    def _opened(self, event: Opened) -> list[Effect]:
        self._attempt, self._receipts = None, event.receipts
        self._attempts = Attempts(task_of(self._plan, event.round))
        self._passing, self._model = set(), event.model
        self._choice = CohortChoice(self._plan, event.round, event.summed)
        if event.unopened is not None and not event.receipts:
            self._attempt = Attempt.again(self._run, event.unopened, self._plan.rounds.min_sites)
            self._renew_deadline()
        effects = super()._opened(event)
        if self._receipts and self.state is State.COLLECTING:
            return [*effects, *self._close()]
        return effects if self._attempt is None else [*effects, *self._ask()]

    # From ready sites to a sum.

    def _ready(self, site: str, message: Ready) -> list[Effect]:
        if message.run != self._run:
            return self._hello_again(site)
        if message.round > self._round:
            return self._published.again(site)
        if message.round != self._round or self.state is not State.COLLECTING:
            return self._tell_outcome(site, message.round)
        waits = site in self._passing or self._attempts.leaves_out(site)
        return [] if waits else self._is_ready(site, message)

    def _is_ready(self, site: str, message: Ready) -> list[Effect]:
        self._roster.delivers(site)
        attempt = self._attempt
        if attempt is None or site not in attempt.names:
            self._attendance.answer(site, accepted=True)
            return self._close_if_over()
        if message.lost == attempt.id:
            attempt.lose(site, message.unopened or ())
            return self._go_on()
        return self._ask_one(site, attempt)

    def _ask_one(self, site: str, attempt: Attempt) -> list[Effect]:
        question = attempt.question(site)
        return [] if question is None else [Send(site, "dn/ctl", question)]

    def _hello_again(self, site: str) -> list[Effect]:
        return [Send(site, "dn/ctl", Welcome(run=self._run, plan=self._plan))]

    def _tell_outcome(self, site: str, round_: int) -> list[Effect]:
        """Of a round that is over; while it closes, the site will ask again."""
        over = round_ < self._round or self.state is State.FINISHED or site in self._receipts
        return [TellOutcome(site, round_)] if over else []

    def _summed(self, site: str, receipt: Receipt) -> Send:
        outcome = Summed(run=self._run, round=self._round, accepted=receipt.accepted, reason=receipt.reason)
        return Send(site, "dn/ctl", outcome)

    def _close(self) -> list[Effect]:
        """Enough are ready. What an earlier life opened already is closed at once."""
        if self._receipts:
            self.state = State.FOLDING
            return [CloseRound(self._round, self._roster.silent)]
        if self._attempt is not None or self._attempts.over:
            return []
        if (names := self._choice.cohort(self._attendance.answered, self._now)) is None:
            return self._await_cohort()
        self._attendance.end(self._now)
        self._attempt = self._choice.attempt(self._run, self._new_id(), names)
        self._reception.open(self._round, {}, {})
        self._renew_deadline()
        return [NewSum(self._round, self._attempt.id, names, self._attempt.groups), *self._ask()]

    @property
    def _all_ready(self) -> tuple[str, ...]:
        return self._choice.ready(self._attendance.answered)

    def _await_cohort(self) -> list[Effect]:
        """Told once: the sites that are missing, or were left out, may come back."""
        choice, seconds, ready = self._choice, self._plan.rounds.deadline_s, self._all_ready
        if choice.waiting:
            return []
        self._attempts.let_all_in()
        choice.wait(self._now + seconds)
        return [AwaitCohort(self._round, ready, choice.missing(ready), seconds, choice.reason)]

    def _without_cohort(self) -> list[Effect]:
        """It was waited for in vain: this round has no sum."""
        over = self.state is State.COLLECTING and self._verdict is Verdict.CLOSE
        if not over or self._attempt is not None or not self._choice.waited(self._now):
            return []
        return self._close_without_sum(self._choice.reason)

    def _close_without_sum(self, reason: str) -> list[Effect]:
        self.state, ready = State.FOLDING, self._all_ready
        outcome = Summed(run=self._run, round=self._round, accepted=False, reason=reason)
        answers: list[Effect] = [Send(site, "dn/ctl", outcome) for site in ready]
        close = CloseRound(self._round, self._roster.silent)
        return [NoCohort(self._round, ready, reason), *answers, close]

    # A life that an earlier one was ahead of.

    def _holds(self, site: str) -> bool:
        return site in self._receipts

    def _decline(self, site: str, message: Decline) -> list[Effect]:
        effects = super()._decline(site, message)
        if message.run == self._run and message.cause == "rewound":
            self._passing.add(site)
            self._attendance.withdraw(site)
        return effects

    def _pass_over(self) -> list[Effect]:
        """Too few are left that may answer. What the model can do without is left out: the round has no sum."""
        attendance = self._attendance
        possible = attendance.accepted + len({*attendance.owing(self._now)})
        needed = task_of(self._plan, self._round) in NEEDED
        waiting = self.state is State.COLLECTING and self._attempt is None and self._passing
        if not waiting or needed or possible >= attendance.quorum:
            return []
        return self._close_without_sum(PASSED_OVER)

    def _ask(self) -> list[Effect]:
        assert self._attempt is not None
        return [question for site in self._attempt.owing for question in self._ask_one(site, self._attempt)]

    def _renew_deadline(self) -> None:
        self._phase_ends = self._now + self._plan.rounds.deadline_s * self._attempts.patience

    def _go_on(self) -> list[Effect]:
        """To the next phase, if this one is over, or its time is; without enough, the attempt is given up."""
        attempt = self._attempt
        if attempt is None or self.state is not State.COLLECTING:
            return []
        expected = set(self._roster.expected(self._now))
        waiting = [name for name in attempt.owing if name in expected]
        late = self._now >= self._phase_ends
        if not (attempt.over or late or not waiting):
            return []
        if attempt.enough:
            return self._next_phase(attempt)
        return (
            self._wait_on(attempt, late=late) if attempt.phase is Phase.REVEALING else self._give_up(attempt)
        )

    def _next_phase(self, attempt: Attempt) -> list[Effect]:
        if attempt.phase is Phase.REVEALING:
            return [attempt.sum]
        attempt.advance()
        self._renew_deadline()
        if attempt.phase is Phase.CONSENTING and attempt.enough:  # signed ahead
            return [FixSum(attempt.id), *self._next_phase(attempt)]
        done: dict[Phase, Effect] = {
            Phase.CONSENTING: FixSum(attempt.id),
            Phase.REVEALING: KeepSum(attempt.sum),
        }
        return [*([done[attempt.phase]] if attempt.phase in done else []), *self._ask()]

    def _wait_on(self, attempt: Attempt, *, late: bool) -> list[Effect]:
        """Some may have revealed their shares: no other sum of this round must be opened."""
        if not late:
            return []
        missing = tuple(attempt.owing)
        if attempt.warned:
            self._miss(missing)
            return [GiveUpSum(attempt.sum)]
        attempt.warned = True
        self._renew_deadline()
        return [Stalled(self._round, len(attempt.reveals), attempt.needed, missing), *self._ask()]

    def _give_up(self, attempt: Attempt) -> list[Effect]:
        gone, accusations = tuple(attempt.gone), attempt.accusations
        bad = accusations.left_out
        for name in attempt.spent:
            self._attendance.withdraw(name)
        self._miss(gone)
        self._leave_out(bad)
        self._attempt, self._attempts.given_up = None, self._attempts.given_up + 1
        reports: list[Effect] = [
            BadDealing(n, self._round, accusations.against(n), accusations.by(n)) for n in bad
        ]
        if gone or not bad:
            reports.append(Stalled(self._round, len(list(attempt.answered)), attempt.needed, gone))
        if self._attempts.goes_on:
            reports.append(GoesOn(self._round, self._attempts.given_up))
        return [*reports, *self._close_if_over()]

    def _leave_out(self, sites: Iterable[str]) -> list[str]:
        """Of what follows in this round; nobody waits for them. Those of them that were not left out before."""
        for site in sites:
            self._attendance.withdraw(site)
        self._miss(sites)
        return self._attempts.leave_out(sites)

    def _without_attempt(self) -> list[Effect]:
        """There is no next one."""
        over = self.state is State.COLLECTING and self._attempt is None and self._attempts.over
        return self._close_without_sum(GIVEN_UP) if over else []

    def _stall(self) -> list[Effect]:
        """Everyone is asked again, also who was left out."""
        self._attempts.let_all_in()
        return super()._stall()

    def _miss(self, gone: Iterable[str]) -> None:
        """They are not waited for until they show that they can."""
        known = self._roster.silent
        self._roster.miss([name for name in gone if name in known])

    def _reconnected(self, event: Reconnected) -> list[Effect]:
        if self._cut_at is not None:
            self._phase_ends += self._now - self._cut_at
            self._choice.postpone(self._now - self._cut_at)
        return super()._reconnected(event)

    def _tick(self, event: Tick) -> list[Effect]:
        if self._cut_at is not None:
            return super()._tick(event)
        if self._attempt is None:
            closed = self._without_attempt() or super()._tick(event)
            return [*closed, *self._without_cohort(), *self._pass_over()]
        return [*self._reception.call_next(self._now), *self._go_on()]

    def _close_if_over(self) -> list[Effect]:
        if self._attempt is not None:
            return self._go_on()
        return super()._close_if_over()

    # What sites say in an attempt.

    def _dealing(self, site: str, message: Dealing) -> list[Effect]:
        where, key = (message.run, message.round, message.attempt), message.key
        statement = key_statement(*where, self._model, key.key, key.commitment, message.gives or b"")
        if (attempt := self._of(message)) is None or not self._verify(site, statement, key.signature):
            return []
        if self._is_weak(key.key):
            return self._refuse_dealing(site, attempt)
        attempt.add_dealing(site, message)
        return self._go_on()

    def _refuse_dealing(self, site: str, attempt: Attempt) -> list[Effect]:
        """With a key of small order nobody can mask."""
        attempt.refuse(site)
        reports = [BadDealing(new, self._round) for new in self._leave_out([site])]
        return [*reports, *self._go_on()]

    def _consent(self, site: str, message: Consent) -> list[Effect]:
        if (attempt := self._of(message)) is None:
            return []
        if not self._verify(site, self._statement(attempt, attempt.survivors), message.signature):
            return []
        attempt.add_consent(site, message)
        return self._go_on() if attempt.phase is Phase.CONSENTING else self._ask_one(site, attempt)

    def _statement(self, attempt: Attempt, survivors: tuple[str, ...]) -> bytes:
        return survivors_statement(
            self._run, self._round, attempt.id, attempt.keys, survivors, attempt.grouped
        )

    def _reveal(self, site: str, message: Reveal) -> list[Effect]:
        if (attempt := self._of(message)) is None:
            return []
        attempt.add_reveal(site, message)
        return self._go_on()

    def _of(self, message: SumMessage) -> Attempt | None:
        attempt = self._attempt
        here = attempt is not None and (message.run, message.round, message.attempt) == (
            self._run,
            self._round,
            attempt.id,
        )
        return attempt if here else None

    def _begin(self, site: str, message: Begin) -> list[Effect]:
        attempt = self._attempt
        asked = attempt is not None and attempt.phase is Phase.MASKING and site in attempt.keys
        if attempt is None or not asked or (message.run, message.round) != (self._run, self._round):
            if (answer := self._reception.answer(site, message)) is not None:
                return [answer]
            reason = "no masked values of this site are awaited now"
            return [Send(site, "dn/ctl", Receipt(id=message.outline.id, accepted=False, reason=reason))]
        if message.consent and self._verify(site, self._statement(attempt, attempt.dealt), message.consent):
            attempt.ahead[site] = message.consent
        return super()._begin(site, message)

    def _judged(self, event: Judged) -> list[Effect]:
        """Masked values have come."""
        attempt = self._attempt
        if attempt is not None and attempt.phase is Phase.MASKING:
            attempt.masked |= {a.site for a in event.answers if a.receipt.accepted}
        self._reception.judged(event.answers)
        # That values were taken, the next question says; a site that offers them again before it comes has its receipt.
        refused = [Send(a.site, "dn/ctl", a.receipt) for a in event.answers if not a.receipt.accepted]
        return [*refused, *self._go_on()]

    def _sum_ended(self, event: SumEnded) -> list[Effect]:
        if self._attempt is None or event.attempt != self._attempt.id:
            return []
        self._attempt, self._receipts = None, dict.fromkeys(event.sites, event.receipt)
        self.state = State.FOLDING
        answers: list[Effect] = [self._summed(site, event.receipt) for site in event.sites]
        return [*answers, CloseRound(self._round, self._roster.silent)]
