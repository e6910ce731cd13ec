"""The aggregator's side of the protocol, sans-IO: `receive(event, now) -> effects`.

It decides; the server (serve/server.py) acts: it journals an update before the receipt for it goes out,
folds, and publishes. What is legal in which state is the table in states.py. Messages of sites carry their id
from the topic, which the broker ties to their identity. A message that breaks the protocol costs its sender a
Receipt or an Evict, never the round.
"""

from collections.abc import Callable

from fedfin import limits
from fedfin.plan import Plan
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.machine import Machine
from fedfin.protocol.messages.joining import Decline, Evict, Hello, Welcome
from fedfin.protocol.messages.manifest import RoundManifest, Want
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Begin, Chunk, Receipt
from fedfin.protocol.rounds.attendance import Attendance, Verdict
from fedfin.protocol.rounds.effects import (
    Awaiting,
    BeginLife,
    CloseRound,
    Declined,
    Effect,
    Refused,
    Seen,
    Send,
    Stalled,
    Throttled,
)
from fedfin.protocol.rounds.events import (
    Delivers,
    Disconnected,
    Enrolled,
    Event,
    FromSite,
    Judged,
    Opened,
    Reconnected,
    Seal,
    Tick,
)
from fedfin.protocol.rounds.gate import Gate
from fedfin.protocol.rounds.hello_checks import objection
from fedfin.protocol.rounds.lives import Lives
from fedfin.protocol.rounds.published import Published
from fedfin.protocol.rounds.reception import Reception
from fedfin.protocol.rounds.roster import Roster
from fedfin.protocol.rounds.states import LEGAL, State
from fedfin.protocol.schedule import task_of
from fedfin.protocol.staleness import late_share
from fedfin.protocol.versions import UNTOLD, answer_to, party_of


class RoundMachine(Machine[State, Event, Effect]):
    """All rounds of one federation."""

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        max_update_bytes: int,
        chunk_size: int = limits.MOST_CHUNK_BYTES,
        enrolled: frozenset[str] | None = None,
        life: Life = FIRST_LIFE,
        receipt: Callable[[int, str], Receipt | None] = lambda *_: None,
        sharded: bool = False,
    ) -> None:
        """`enrolled`: the only sites that may take part; None: any. `life`: that we are in.

        `receipt`: the one that a site was given for a round, however long ago. `sharded`: receipts are shards'
        affair, and a new life begins when our owner says so.
        """
        super().__init__(State.STARTING, LEGAL)
        self._plan = plan
        self._run = run
        self._sharded = sharded
        self._lives = Lives(run, life)
        self._round = 0
        self._published = Published(plan, run, chunk_size)
        self._reception = Reception(max_bytes=max_update_bytes, given=receipt)
        self._roster = Roster({}, strangers=True)
        self._gate = Gate(sites=plan.rounds.sites, enrolled=enrolled)
        self._attendance = self._attend()
        self._opened_at: dict[int, float] = {}  # by round, of those whose deadline may not have passed
        self._reported: set[str] = set()  # sites of which a refusal was reported in this round
        self._declined: set[tuple[str, str]] = set()  # by whom, and why, in this round
        self._revisions: dict[str, int] = {}  # that sites have announced
        self._tell_at = 0.0  # when to say next whom the round waits for
        self._cut_at: float | None = None  # since when our own link is down
        self._handlers = {
            FromSite: self._from_site,
            Opened: self._opened,
            Judged: self._judged,
            Delivers: self._delivers,
            Enrolled: self._enrolled,
            Seal: self._seal,
            Disconnected: self._disconnected,
            Reconnected: self._reconnected,
            Tick: self._tick,
        }
        self._messages: dict[type, Callable[..., list[Effect]]] = {
            Hello: self._hello,
            Begin: self._begin,
            Chunk: self._chunk,
            Want: self._want,
            SiteState: self._site_state,
            Decline: self._decline,
        }

    @property
    def manifest(self) -> RoundManifest | None:
        """Of the round that runs."""
        return self._published.manifest

    # Rounds.

    def _opened(self, event: Opened) -> list[Effect]:
        if self.state is State.STARTING:
            self._remember(event)
        self._round = event.round
        lasting = self._now - self._plan.rounds.deadline_s
        recent = {round_: when for round_, when in self._opened_at.items() if when >= lasting}
        self._opened_at = recent | {event.round: self._now}
        self._reception.open(
            event.round,
            event.receipts,
            event.earlier,
            wanted=lambda round_: not event.finished and self._wanted(round_),
        )
        self._attendance = self._attend()
        self._reported, self._declined = set(), set()
        self._tell_at = self._now + limits.AWAIT_S
        for site, receipt in event.receipts.items():
            self._attendance.answer(site, accepted=receipt.accepted)
        self._attendance.late(event.late)
        self.state = State.FINISHED if event.finished else State.COLLECTING
        published = self._published.open(event, self._attendance.threshold, self._lives.now)
        return [*published, *([] if event.finished else self._close_if_over())]

    def _remember(self, event: Opened) -> None:
        """Who has answered this round need not say hello again: it is known even if no roster was kept yet."""
        roster = dict.fromkeys(event.receipts, False) | event.roster
        roster = {site: silent for site, silent in roster.items() if self._gate.may(site)}
        self._roster = Roster(roster, strangers=not event.roster)
        known = (*roster, *event.receipts, *event.earlier)
        self._gate.know(filter(self._gate.may, known), self._now)

    def _attend(self) -> Attendance:
        task = task_of(self._plan, self._round)
        return Attendance(
            self._plan.rounds, self._roster, run=self._run, round_=self._round, task=task, now=self._now
        )

    def _tick(self, _: Tick) -> list[Effect]:
        if self._cut_at is not None:
            return []
        dropped = self._gate.dropped(self._now)
        effects: list[Effect] = [] if dropped is None else [Throttled(*dropped)]
        effects += self._reception.call_next(self._now)
        over = self._stall() if self._verdict is Verdict.STALL else self._close_if_over()
        return [*effects, *(over or self._awaiting())]

    def _awaiting(self) -> list[Effect]:
        """Now and then, while a round is open."""
        if self.state is not State.COLLECTING or self._now < self._tell_at:
            return []
        self._tell_at = self._now + limits.AWAIT_S
        attendance = self._attendance
        sites = sorted({*attendance.owing(self._now), *self._gate.unheard})
        away = tuple(sorted(set(attendance.away(self._now)).difference(sites)))
        left = attendance.left(self._now)
        return [Awaiting(self._round, attendance.accepted, attendance.quorum, tuple(sites), left, away)]

    @property
    def _verdict(self) -> Verdict:
        return self._attendance.verdict(self._now)

    def _close_if_over(self) -> list[Effect]:
        over = self.state is State.COLLECTING and self._verdict is Verdict.CLOSE
        return self._close() if over else []

    def _seal(self, _: Seal) -> list[Effect]:
        return self._close()

    def _close(self) -> list[Effect]:
        self._attendance.end(self._now)
        self.state = State.FOLDING
        return [CloseRound(self._round, self._roster.silent)]

    def _stall(self) -> list[Effect]:
        attendance = self._attendance
        missed = tuple(sorted({*attendance.stall(self._now), *self._gate.unheard}))
        stalled = Stalled(self._round, attendance.accepted, attendance.quorum, missed)
        return [stalled, *self._published.ask(attendance.threshold)]

    # The link.

    def _disconnected(self, _: Disconnected) -> list[Effect]:
        self._cut_at = self._now if self._cut_at is None else self._cut_at
        return []

    def _reconnected(self, _: Reconnected) -> list[Effect]:
        if self._cut_at is not None:
            self._attendance.postpone(self._now - self._cut_at)
        self._cut_at = None
        return []

    # Messages of sites.

    def _from_site(self, event: FromSite) -> list[Effect]:
        if not self._gate.passes(event.site, event.message, self._now):
            return []
        return self._messages[type(event.message)](event.site, event.message)

    def knows(self, site: str) -> bool:
        """Whether the name holds a place among those that may take part."""
        return self._gate.knows(site)

    def revision(self, site: str) -> int:
        """The newest one that a site which has said hello understands."""
        return self._revisions.get(site, UNTOLD)

    def _hello(self, site: str, message: Hello) -> list[Effect]:
        if (reason := objection(self._plan, message)) is not None:
            return self._evict(site, reason)
        if not self._gate.admits(site, self._now):
            return []
        self._roster.welcome(site)
        self._revisions[site] = max(party_of(message.party).newest, self.revision(site))
        party = answer_to(self._plan, message.party)
        welcome = Send(site, "dn/ctl", Welcome(run=self._run, plan=self._plan, party=party))
        return [*self._catch_up(site, message), welcome, *self._published.again(site)]

    def _catch_up(self, site: str, hello: Hello) -> list[Effect]:
        """Begin a new life when the site has seen what we know nothing of: our folder is older than its."""
        life = self.draw_life(site, hello.life) if self._is_behind(site, hello) else None
        if life is None:
            return []
        if self._sharded:  # our owner begins it, when all shards are in it
            return [BeginLife(life, self._round, site, hello.seen)]
        return self.begin_life(life, site, hello.seen)

    def draw_life(self, party: str, known: Life) -> Life | None:
        """The next one after ours and the party's; None when it has made us draw as many as one may."""
        return self._lives.draw(party, known) if self.manifest is not None else None

    def begin_life(self, life: Life, party: str, seen: int) -> list[Effect]:
        """The rounds go on in this one, as the party has seen a round that we know nothing of."""
        self._lives.now = life
        return [BeginLife(life, self._round, party, seen), self._published.begin_life(life)]

    def _is_behind(self, site: str, hello: Hello) -> bool:
        lost = not self._sharded and not self._holds(site)
        return self._lives.is_behind(hello, self._round, lost=lost)

    @property
    def life(self) -> Life:
        """The one we are in."""
        return self._lives.now

    @property
    def has_quorum(self) -> bool:
        """Whether as many have answered as the round needs at least."""
        return self._attendance.accepted >= self._attendance.quorum

    def _holds(self, site: str) -> bool:
        """Whether an update of the site counts in this round."""
        receipt = self._reception.receipts.get(site)
        return receipt is not None and receipt.accepted

    def _decline(self, site: str, message: Decline) -> list[Effect]:
        """The round goes on without it, from the next tick on."""
        if message.run != self._run or not self._gate.admits(site, self._now):
            return []
        self._roster.decline(site)
        repeated = (site, message.cause) in self._declined
        self._declined.add((site, message.cause))
        return [] if repeated else [Declined(site, self._round, message.cause)]

    def _enrolled(self, event: Enrolled) -> list[Effect]:
        gone = self._gate.enroll(event.sites)
        evicted = [effect for site in gone for effect in self._evict(site, event.reason)]
        return [*evicted, *self._close_if_over()]

    def _evict(self, site: str, reason: str) -> list[Effect]:
        self._roster.drop(site)
        self._gate.leave(site)
        return [Send(site, "dn/ctl", Evict(reason=reason))]

    def _site_state(self, site: str, message: SiteState) -> list[Effect]:
        self._roster.presence(site, self._now, online=message.online)
        return [Seen(site, message)]

    def _begin(self, site: str, message: Begin) -> list[Effect]:
        if message.run != self._run:  # the plan was set up anew: the site must hear that before it sends
            return [Send(site, "dn/ctl", Welcome(run=self._run, plan=self._plan))]
        if not self._gate.admits(site, self._now):
            return []
        if message.round > self._round:  # of another life: the site must hear of ours, or we of its
            return self._published.again(site)
        self._delivers(Delivers(site, message.round))
        over = message.round < self._round
        if (answer := self._reception.answer(site, message, over=over)) is not None:
            return [answer]
        if (reason := self._objection(site, message)) is not None:
            if message.round == self._round:
                self._attendance.answer(site, accepted=False)
            id_ = message.outline.id
            receipt = Receipt(id=id_, accepted=False, reason=reason)
            return [Send(site, "dn/ctl", receipt), *self._report_refusal(site, message.round, id_, reason)]
        return [*self._reception.begin(site, message, self._now)]

    def _report_refusal(self, site: str, round_: int, id_: bytes, reason: str) -> list[Effect]:
        """Of each site once while a round is open: who offers without end must not fill the logs."""
        repeated = site in self._reported
        self._reported.add(site)
        return [] if repeated else [Refused(site, round_, id_, reason)]

    def _delivers(self, event: Delivers) -> list[Effect]:
        later = event.round > self._round  # of another life: the site must hear of ours
        if (later or self._in_time(event.round)) and self._gate.admits(event.site, self._now):
            self._roster.delivers(event.site)
            return self._published.again(event.site) if later else []
        return []

    def _in_time(self, round_: int) -> bool:
        """Whether the round is open, or would be if it waited for its whole deadline."""
        opened = self._opened_at.get(round_)
        return opened is not None and (
            round_ == self._round or self._now - opened <= self._plan.rounds.deadline_s
        )

    def _wanted(self, round_: int) -> bool:
        return late_share(self._plan, round_, self._round) is not None

    def _objection(self, site: str, message: Begin) -> str | None:
        wanted = self._wanted(message.round) and self.state is not State.FINISHED
        return self._reception.objection(site, message, wanted=wanted)

    def _chunk(self, site: str, message: Chunk) -> list[Effect]:
        return [*self._reception.chunk(site, message, self._now)]

    def _judged(self, event: Judged) -> list[Effect]:
        self._gate.know((site for site, _, receipt in event.answers if receipt.accepted), self._now)
        for site, round_, receipt in event.answers:
            if round_ == self._round:
                self._attendance.answer(site, accepted=receipt.accepted)
            else:
                self._attendance.late(int(receipt.accepted))
        return [*self._reception.judged(event.answers), *self._close_if_over()]

    def _want(self, site: str, message: Want) -> list[Effect]:
        if not self._gate.admits(site, self._now):
            return []
        return self._published.answer(site, message)
