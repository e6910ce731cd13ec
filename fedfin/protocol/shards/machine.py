"""A shard's side of the protocol, sans-IO: `receive(event, now) -> effects`.

It decides; the shell (serve/shard_server.py) acts. Rounds, versions and the model are the root's; a shard only
takes the updates of its sites, and when the root has enough of them, delivers their sum. What is legal in which
state is the table in states.py.
"""

from collections.abc import Callable

from fedfin import limits
from fedfin.plan import Plan
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.machine import Machine
from fedfin.protocol.messages.joining import Evict, Hello, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.shards import Deliver, Enough, Heard, Rewind, Tally
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing, Receipt
from fedfin.protocol.outgoing import Outgoing
from fedfin.protocol.refusals import TWICE
from fedfin.protocol.rounds.effects import Send
from fedfin.protocol.rounds.events import FromSite, Judged, Tick
from fedfin.protocol.rounds.gate import Gate
from fedfin.protocol.rounds.reception import Reception
from fedfin.protocol.shards.effects import (
    BeginLife,
    Effect,
    Finish,
    JoinRun,
    Leave,
    OpenRound,
    SendUp,
    Settle,
    SumUp,
)
from fedfin.protocol.shards.events import Event, RoundOpened, Summed
from fedfin.protocol.shards.shard import Shard
from fedfin.protocol.shards.states import LEGAL, State
from fedfin.protocol.site.events import Connected, Disconnected, Published
from fedfin.protocol.staleness import late_share

NO_RUN = "0" * 16


class ShardMachine(Machine[State, Event, Effect]):
    """All rounds of one shard. `before`: the run and round that it stood at before a restart.

    `settled`: the newest round whose sum the root had taken.
    """

    def __init__(
        self,
        plan: Plan,
        shard: Shard,
        *,
        max_update_bytes: int,
        before: tuple[str, int] = ("", 0),
        settled: int = 0,
        enrolled: frozenset[str] | None = None,
        life: Life = FIRST_LIFE,
        receipt: Callable[[int, str], Receipt | None] = lambda *_: None,
    ) -> None:
        """`enrolled`: the only sites that may take part; None: any. `life`: of the run, before a restart.

        `receipt`: the one that a site was given for a round, however long ago.
        """
        super().__init__(State.WAITING, LEGAL)
        self._plan, self._shard = plan, shard
        self._digest = plan.digest()
        self._max_update_bytes = max_update_bytes
        # A broker may retain the manifest of an earlier run, or of an earlier round: neither counts.
        self._run, self._before, self._life = before[0], before, life
        self._settled = settled
        self._given = receipt
        self._behind = False  # our folder is older than what we have said in this round and life
        self._online = False
        self._manifest: RoundManifest | None = None  # of the round at hand
        self._following: RoundManifest | None = None  # one that came while a sum was on its way
        self._gate = Gate(sites=plan.rounds.sites, enrolled=enrolled)
        self._reception = self._new_reception()
        self._early: dict[str, Begin] = {}  # offers that came between two rounds
        self._outgoing = Outgoing()
        self._late: set[str] = set()  # sites with an update for an earlier round that counts in this one
        self._refused: set[str] = set()  # sites whose update was not even wanted
        self._reported = -1  # how many answers the root has been told of
        self._tell_at = self._retry_at = 0.0
        self._handlers = {
            Connected: self._connected,
            Disconnected: self._disconnected,
            Tick: self._tick,
            FromSite: self._from_site,
            Judged: self._judged,
            Welcome: self._welcome,
            RoundManifest: self._round_manifest,
            RoundOpened: self._round_opened,
            Enough: self._enough,
            Heard: lambda _: [],
            Rewind: self._rewind,
            Summed: self._summed,
            Missing: self._missing,
            Published: self._published,
            Receipt: self._receipt,
            Evict: self._evict,
        }

    # The link.

    def _connected(self, event: Connected) -> list[Effect]:
        self._online = True
        self._outgoing.connected(event.chunk_size)
        return [self._tally(), *self._offer()]

    def _disconnected(self, _: Disconnected) -> list[Effect]:
        self._online = False
        self._outgoing.cut()
        return []

    def _tick(self, _: Tick) -> list[Effect]:
        effects: list[Effect] = [*self._reception.call_next(self._now)]
        if not self._online:
            return effects
        if self._now < self._retry_at or self._outgoing.busy:
            return [*effects, *self._news()]
        return [*effects, self._tally(), *self._offer()]

    def _news(self) -> list[Effect]:
        """A tally, if there is something new in it and it is time."""
        due = self._online and self.answers != self._reported and self._now >= self._tell_at
        return [self._tally()] if due and self.state is State.COLLECTING else []

    # Towards the root.

    def _tally(self) -> SendUp:
        """Where the shard stands; it is a question, too: the root answers with whatever the shard has missed."""
        receipts = self._reception.receipts
        refused = self._refused | {site for site, receipt in receipts.items() if not receipt.accepted}
        self._reported = self.answers
        self._tell_at = self._now + min(limits.RETRY_S, limits.TALLY_S * self._reported)
        self._retry_at = self._now + limits.RETRY_S
        tally = Tally(
            plan=self._digest,
            shards=self._shard.count,
            run=self._run or NO_RUN,
            round=self._round,
            accepted=tuple(sorted(site for site, receipt in receipts.items() if receipt.accepted)),
            refused=tuple(sorted(refused)),
            late=tuple(sorted(self._late)),
            closed=self._outgoing.begin is not None,
            life=self._life,
            behind=self._behind,
            seen=max(self._round, self._before[1] if self._run == self._before[0] else 0),
            settled=self._settled,
        )
        return SendUp("up/ctl", tally)

    @property
    def answers(self) -> int:
        """How many sites have one, in this round."""
        return len(self._reception.receipts) + len(self._late) + len(self._refused)

    @property
    def awaited(self) -> tuple[str, ...]:
        """Sites of this shard that were heard of and have no answer in this round."""
        return tuple(sorted(self._gate.names - self._reception.receipts.keys() - self._refused))

    @property
    def round(self) -> int:
        """The one at hand; 0: none."""
        return self._round

    def _offer(self) -> list[Effect]:
        """The sum, if there is one. After the tally: a root that was restarted must hear first who is in it."""
        if (begin := self._outgoing.begin) is None:
            return []
        return [SendUp("up/ctl", Deliver(begin=begin, life=self._life))]

    def _missing(self, event: Missing) -> list[Effect]:
        return self._send(self._outgoing.missing(event, self._now))

    def _published(self, _: Published) -> list[Effect]:
        return self._send(self._outgoing.published(self._now))

    def _send(self, chunks: list[Chunk]) -> list[Effect]:
        self._retry_at = self._now + limits.RETRY_S
        return [SendUp("up/chunk", chunk) for chunk in chunks]

    def _receipt(self, event: Receipt) -> list[Effect]:
        begin = self._outgoing.begin
        assert begin is not None
        if event.id != begin.outline.id:
            return []
        if not event.accepted:
            self.state = State.EVICTED
            return [Leave(self._refusal(event.reason))]
        self._outgoing.done()
        self.state, self._settled = State.WAITING, self._round
        following, self._following = self._following, None
        settle = Settle(self._round)
        return [settle] if following is None else [settle, *self._round_manifest(following)]

    def _refusal(self, reason: str) -> str:
        """For people: what they have to do where two processes are this shard."""
        if reason != TWICE:
            return f"it refuses this shard's sum of round {self._round}: {reason}"
        return (
            f"another process that is this shard has delivered round {self._round}, and its sum counts; serve the shard"
            " from that one's folder, and not from this one"
        )

    def _evict(self, event: Evict) -> list[Effect]:
        self.state = State.EVICTED
        return [Leave(event.reason)]

    def _welcome(self, event: Welcome) -> list[Effect]:
        """The root's answer to a shard that speaks of no run, or of another one."""
        if event.plan.digest() != self._digest:
            self.state = State.EVICTED
            return [Leave("its plan differs; set this shard's folder up with the root's plan")]
        if event.run == self._run:
            return []
        self._run, self._life, self._settled = event.run, FIRST_LIFE, 0
        self._begin_anew()
        return [JoinRun(event.run)]

    def _begin_anew(self) -> None:
        """In another run, or life: what we had in mind is of the one before."""
        self._before, self._behind = (self._run, 0), False
        self._manifest = self._following = None
        self._outgoing.done()
        self._reception = self._new_reception()
        self.state = State.WAITING

    # Rounds.

    @property
    def _round(self) -> int:
        return 0 if self._manifest is None else self._manifest.round

    def _round_manifest(self, event: RoundManifest) -> list[Effect]:
        if (event.run, event.life) != (self._run, self._life):
            return []  # what becomes of our records in another life is in the root's answer to a tally
        known = self._manifest
        if known is not None and _age(event) <= _age(known):
            return []
        return self._turn_to(event)

    def _rewind(self, event: Rewind) -> list[Effect]:
        """The root was set back, or a shard: from its records the shell makes out what still counts."""
        manifest = event.manifest
        if manifest.run != self._run or manifest.life.number <= self._life.number:
            return []
        self._life, self._settled = manifest.life, min(self._settled, manifest.round - 1)
        self._begin_anew()
        self._early = {}
        return [BeginLife(event), *self._turn_to(manifest)]

    def _turn_to(self, event: RoundManifest) -> list[Effect]:
        if event.run == self._before[0] and event.round < self._before[1]:
            return []
        if self.state is State.DELIVERING:
            self._following = event
            return []
        self._manifest = event
        if event.state == "finished":
            self.state = State.FINISHED
            return [*self._begin_early(), Finish()]
        self.state = State.OPENING
        return [OpenRound(event)]

    def _round_opened(self, event: RoundOpened) -> list[Effect]:
        self._gate.know([*event.receipts, *event.earlier], self._now)
        self._reception.open(self._round, event.receipts, event.earlier, wanted=self._wanted)
        self._late, self._refused, self._reported, self._behind = set(event.late), set(), -1, False
        if event.settled:
            self.state, self._settled = State.WAITING, self._round
            return [self._tally()] if self._online else []
        if event.sum:
            return self._deliver(event.sum)
        self.state = State.COLLECTING
        return [self._tally(), *self._begin_early()]

    def _begin_early(self) -> list[Effect]:
        early, self._early = self._early, {}
        return [effect for site, begin in early.items() for effect in self._begin(site, begin)]

    def _enough(self, event: Enough) -> list[Effect]:
        manifest = self._manifest
        assert manifest is not None
        if (event.run, event.round, event.life) != (self._run, manifest.round, self._life):
            return []
        if not {*event.promised} <= {*self._reception.accepted, *self._late}:
            return [] if self._behind else self._fall_behind()
        self.state = State.SUMMING
        return [SumUp(event.round)]

    def _summed(self, event: Summed) -> list[Effect]:
        return self._deliver(event.payload)

    def _deliver(self, payload: bytes) -> list[Effect]:
        self.state = State.DELIVERING
        self._outgoing.offer(self._run, self._round, payload)
        return [self._tally(), *self._offer()] if self._online else []

    # Messages of sites.

    def _from_site(self, event: FromSite) -> list[Effect]:
        message = event.message
        if not self._gate.passes(event.site, message, self._now):
            return []
        if isinstance(message, Hello):
            return self._hello(event.site, message)
        if isinstance(message, Begin):
            return self._begin(event.site, message)
        if isinstance(message, Chunk) and self.state is State.COLLECTING:
            return [*self._reception.chunk(event.site, message, self._now)]
        return []  # the rest of what sites say is for the root

    def _hello(self, site: str, hello: Hello) -> list[Effect]:
        """A receipt goes out when it is durable: who has one that we know nothing of shows that we were set back."""
        here = (hello.run, hello.life, hello.accepted) == (self._run, self._life, self._round)
        if self.state is not State.COLLECTING or not here or site in self._reception.accepted:
            return []
        return self._fall_behind()

    def _fall_behind(self) -> list[Effect]:
        self._behind = True
        return [self._tally()] if self._online else []

    def admits(self, site: str, now: float) -> bool:
        """Whether the name has a place among those that may send, or gets one."""
        return self._gate.admits(site, now)

    def _begin(self, site: str, message: Begin) -> list[Effect]:
        if not self.admits(site, self._now):
            return []
        if self._run and message.run != self._run:  # the plan was set up anew: it must hear that first
            return [Send(site, "dn/ctl", Welcome(run=self._run, plan=self._plan))]
        over = message.round < self._round
        if (answer := self._reception.answer(site, message, over=over)) is not None:
            return [answer]
        between = self.state not in {State.COLLECTING, State.FINISHED}
        if between or message.round > self._round:  # what becomes of it is known when the next round is open
            if message.outline.size <= self._max_update_bytes:
                self._early[site] = message
            return []
        if (reason := self._objection(site, message)) is not None:
            if message.round == self._round:
                self._refused.add(site)
            return [Send(site, "dn/ctl", Receipt(id=message.outline.id, accepted=False, reason=reason))]
        return [*self._reception.begin(site, message, self._now)]

    def _wanted(self, round_: int) -> bool:
        return late_share(self._plan, round_, self._round) is not None

    def _objection(self, site: str, message: Begin) -> str | None:
        wanted = self._wanted(message.round) and self.state is not State.FINISHED
        return self._reception.objection(site, message, wanted=wanted)

    def _new_reception(self) -> Reception:
        return Reception(max_bytes=self._max_update_bytes, given=self._given)

    def _judged(self, event: Judged) -> list[Effect]:
        self._gate.know((site for site, _, receipt in event.answers if receipt.accepted), self._now)
        self._late |= {
            site for site, round_, receipt in event.answers if receipt.accepted and round_ != self._round
        }
        return [*self._reception.judged(event.answers), *self._news()]


def _age(manifest: RoundManifest) -> tuple[int, bool]:
    return manifest.round, manifest.state == "finished"
