"""The site's side of secure sums, sans-IO: as SiteMachine, but what it has computed leaves in masked values alone.

It says that it is ready, and answers the questions of the attempts that are made at one sum; its shell masks, signs and
reveals (fedfin/secure_sums/member.py). Summed says what became of the round. A round that was answered in an earlier
life of the aggregator is not answered again. Under a plan without secure sums it is a SiteMachine.
"""

from msgspec.structs import replace

from fedfin import limits
from fedfin.protocol.messages.joining import Decline
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealt, Summed, Survivors
from fedfin.protocol.messages.transfers import Begin, Receipt
from fedfin.protocol.site.effects import Bar, Effect, SayReady, Send, TakePart
from fedfin.protocol.site.events import Barred, Masked, SumQuestion
from fedfin.protocol.site.machine import SiteMachine
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.states import State


class SecureSiteMachine(SiteMachine):
    """One site in one federation, whatever its plan asks for: that comes with the welcome."""

    def __init__(self, *, site: str, boot: str, encoders: dict[str, str], memory: Memory) -> None:
        super().__init__(site=site, boot=boot, encoders=encoders, memory=memory)
        self._consent = b""  # signed ahead, with masked values
        self._handlers |= {
            Cohort: self._sum_question,
            Dealt: self._sum_question,
            Survivors: self._sum_question,
            Consents: self._sum_question,
            Masked: self._masked,
            Barred: self._barred,
            Summed: self._summed,
        }

    # From a computed update to a sum.

    def _take_up(self) -> None:
        if not self._secure:
            super()._take_up()

    def _offer(self) -> list[Effect]:
        """Masked values with what is signed ahead; until there are any, that this site is ready."""
        if self._outgoing.begin is None:
            return [SayReady(self._working)]
        return [Send("up/ctl", self._with_consent(self._outgoing.begin))]

    def _with_consent(self, begin: Begin) -> Begin:
        return replace(begin, consent=self._consent) if self._consent else begin

    def _sum_question(self, event: SumQuestion) -> list[Effect]:
        if not self._is_at_work(event):
            return []
        self._retry_at = self._now + limits.RETRY_S
        if not isinstance(event, Dealt):  # what was masked is there, or of an attempt before
            self._outgoing.done()
        return [TakePart(event)]

    def _masked(self, event: Masked) -> list[Effect]:
        if event.round != self._working:
            return []
        self._outgoing.offer(self._answered.run, event.round, event.payload)
        self._consent = event.consent
        return self._ask() if self._online else []

    def _receipt(self, event: Receipt) -> list[Effect]:
        """Masked values are there, or not wanted any more: Summed says what becomes of them."""
        if not self._secure:
            return super()._receipt(event)
        if self._outgoing.begin is not None and event.id == self._outgoing.begin.outline.id:
            self._outgoing.done()
        return []

    def _summed(self, event: Summed) -> list[Effect]:
        if not self._is_at_work(event):
            return []
        return self._settle(event.round, accepted=event.accepted, reason=event.reason)

    def _is_at_work(self, event: SumQuestion | Summed) -> bool:
        """On a sum, and on that of this round."""
        return self._secure and (event.run, event.round) == (self._answered.run, self._working)

    def _drop_update(self) -> None:
        super()._drop_update()
        self._consent = b""

    # What must not be answered twice.

    def _barred(self, event: Barred) -> list[Effect]:
        if event.round != self._working:
            return []
        self._answered.bar(event.round)
        self.state = State.IDLE
        self._drop_update()
        return [Bar(event.round), *self._next_round()]

    @property
    def _passes(self) -> bool:
        """Whether we have answered the round at hand already, and no second sum may be made of it."""
        manifest = self._manifest
        return manifest is not None and manifest.state == "open" and manifest.round <= self._answered.barred

    def _greeting(self) -> list[Effect]:
        """Hello; and, where it asks again what must not be told twice, that nobody need wait for us."""
        hello = super()._greeting()
        if self.state is not State.IDLE or not self._passes:
            return hello
        return [*hello, Send("up/ctl", Decline(run=self._answered.run, cause="rewound"))]

    def _rest(self) -> list[Effect]:
        effects = super()._rest()
        return [*effects, *self._greeting()] if self._online and self._passes else effects
