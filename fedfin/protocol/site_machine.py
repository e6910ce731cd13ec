"""The site's side of the protocol, sans-IO: `receive(event, now) -> effects`.

It decides; the agent (fedfin_edge/agent/agent.py) acts. It never reads a clock, a disk or a socket: time comes in with
each event, bytes that must survive a crash go out as effects before anything is sent that depends on them.
What is legal in which state is the table in site_states.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import model_shapes
from fedfin.plan import Plan
from fedfin.protocol.fetch import Fetch
from fedfin.protocol.invitation import draw
from fedfin.protocol.manifest_checks import Succession, objection
from fedfin.protocol.messages import (
    FIRST_LIFE,
    Chunk,
    Cohort,
    Consents,
    Dealt,
    Decline,
    Evict,
    Hello,
    Life,
    Missing,
    Receipt,
    RoundManifest,
    Summed,
    Survivors,
    Welcome,
)
from fedfin.protocol.outgoing import Outgoing
from fedfin.protocol.padding import most_sealed_bytes
from fedfin.protocol.payloads import most_model_bytes
from fedfin.protocol.policy import late_share
from fedfin.protocol.site_states import (
    LEGAL,
    Abandon,
    Assembled,
    Bar,
    Barred,
    BeginLife,
    Connected,
    Disconnected,
    Distrust,
    Done,
    Effect,
    Event,
    Finish,
    Join,
    Leave,
    MakeFirst,
    Masked,
    Misfit,
    Published,
    SayReady,
    Send,
    Settle,
    State,
    SumQuestion,
    TakePart,
    Tick,
    Work,
)
from fedfin.protocol.versions import Announcement, mismatch, party_of


@dataclass(frozen=True)
class Memory:
    """What a site remembers from before a restart.

    `settled`: the last round of `run` that has a receipt in `life`; `accepted`: that has one that says so; `model`,
    `version`: id and version of the kept global model (None: there is none); `offer`: round and payload of an update
    without a receipt; `answered`: by run and life, the rounds whose answers were made, and may have left, whatever else
    was forgotten; `barred`: rounds of `run` up to this one are not answered again.
    """

    run: str = ""
    settled: int = 0
    model: bytes = b""
    version: int | None = None
    offer: tuple[int, bytes] | None = None
    answered: Mapping[tuple[str, Life], frozenset[int]] = field(default_factory=dict)
    life: Life = FIRST_LIFE
    accepted: int = 0
    barred: int = 0


class SiteMachine:
    """One site in one federation."""

    def __init__(self, *, site: str, boot: str, encoders: dict[str, str], memory: Memory) -> None:
        self.state = State.JOINING
        self._boot, self._encoders = boot, encoders
        self._site = site
        self._plan: Plan | None = None
        self._run = memory.run
        self._life = memory.life
        self._settled, self._accepted, self._barred = memory.settled, memory.accepted, memory.barred
        self._model, self._version = memory.model, memory.version
        self._answered = memory.answered
        self._manifest: RoundManifest | None = None
        self._succession = Succession()
        self._distrusted = False  # whether a manifest was ignored, which is told once
        self._online = False
        self._now = 0.0
        self._retry_at = 0.0
        self._object_at = 0.0  # when an aggregator that is behind, or another, may be contradicted again
        self._fetch = Fetch()
        self._working, self._payload = memory.offer or (0, b"")  # the round being worked on or sent
        self._leaves = b""  # of the payload, where they are known
        self._outgoing = Outgoing()
        self._announcement = Announcement()
        self._handlers: dict[type, Callable[..., list[Effect]]] = {
            Connected: self._connected,
            Disconnected: self._disconnected,
            Tick: self._tick,
            Welcome: self._welcome,
            Evict: self._evict,
            RoundManifest: self._round_manifest,
            Chunk: self._chunk,
            Assembled: self._assembled,
            Misfit: self._misfit,
            Done: self._done,
            Published: self._published,
            Missing: self._missing,
            Receipt: self._receipt,
            Cohort: self._sum_question,
            Dealt: self._sum_question,
            Survivors: self._sum_question,
            Consents: self._sum_question,
            Masked: self._masked,
            Barred: self._on_barred,
            Summed: self._summed,
        }

    def receive(self, event: Event, now: float) -> list[Effect]:
        """One event at `now` seconds (monotonic); what must be done, in this order."""
        allowed = LEGAL[self.state].get(type(event))
        if allowed is None:
            return []
        self._now = now
        effects = self._handlers[type(event)](event)
        assert self.state in allowed, (type(event), self.state)
        return effects

    @property
    def hello(self) -> Hello:
        """Who we are, and where we stand."""
        seen = 0 if self._manifest is None else self._manifest.round
        return Hello(
            boot=self._boot,
            encoders=self._encoders,
            run=self._run,
            life=self._life,
            seen=max(seen, self._accepted),
            accepted=self._accepted,
            party=self._announcement.party,
        )

    # The link.

    def _connected(self, event: Connected) -> list[Effect]:
        self._online = True
        self._outgoing.connected(event.chunk_size)
        self._retry_at = self._now + limits.RETRY_S
        # The aggregator may have been restarted meanwhile: it learns of us again, whatever our state.
        effects = self._greeting()
        if self.state is State.FETCHING:
            effects += self._fetch.reconnected()
        if self.state is State.SENDING:
            effects += self._ask()
        return effects

    def _disconnected(self, _: Disconnected) -> list[Effect]:
        self._online = False
        self._outgoing.cut()
        return []

    def _tick(self, _: Tick) -> list[Effect]:
        if not self._online or self._now < self._retry_at or self._outgoing.busy:
            return []
        idle = self.state is State.IDLE and self._manifest is not None
        self._retry_at = self._now + (limits.IDLE_S if idle else limits.RETRY_S)
        return self._ask()

    def _ask(self) -> list[Effect]:
        """Repeat the question whose answer this state waits for."""
        if self.state in {State.JOINING, State.IDLE}:  # IDLE: the manifest may have got lost; hello brings it
            self._announcement.ask_again()
            return self._greeting()
        if self.state is State.FETCHING:
            return self._fetch.wants()
        if self._outgoing.begin is None:
            return [SayReady(self._working)]
        # The whole Begin again: an aggregator that has forgotten the transfer needs its outline.
        return [Send("up/ctl", self._outgoing.begin)]

    def _greeting(self) -> list[Effect]:
        """Hello; and, where it asks again what must not be told twice, that nobody need wait for us."""
        self._announcement.ask()
        hello: Effect = Send("up/ctl", self.hello)
        manifest = self._manifest
        if self.state is not State.IDLE or manifest is None or not self._passes(manifest):
            return [hello]
        return [hello, Send("up/ctl", Decline(run=self._run, cause="rewound"))]

    # Joining, and being dropped.

    def _welcome(self, event: Welcome) -> list[Effect]:
        self._announcement.answered(event.party)
        if (reason := mismatch(self._announcement.ours, party_of(event.party))) is not None:
            self.state = State.EVICTED
            return [Leave(reason)]
        if self.state is not State.JOINING:
            if event.run == self._run:
                return []
            self.state = State.EVICTED
            return [
                Leave(
                    "the aggregator began another run of the plan; to take part, start this site with --again"
                )
            ]
        join = Join(event.run, event.plan)
        self._plan = event.plan
        if event.run != self._run:  # deltas of another run's versions lead elsewhere
            self._run, self._settled, self._version, self._payload = event.run, 0, None, b""
            self._life, self._accepted, self._barred = FIRST_LIFE, 0, 0
        if self._payload:  # whatever became of its round: what the update came to must be known first
            return [join, *self._send()]
        if self._version is None:
            self.state = State.ASSEMBLING
            return [join, MakeFirst()]
        self.state = State.IDLE
        return [join, *self._next_round()]

    def _evict(self, event: Evict) -> list[Effect]:
        self.state = State.EVICTED
        return [Leave(event.reason)]

    # Rounds.

    def _round_manifest(self, event: RoundManifest) -> list[Effect]:
        if (
            event.run != self._run
        ):  # left from before, or the plan was set up anew: the answer to a hello tells
            return self._object()
        assert self._plan is not None
        if (reason := objection(self._plan, event)) is not None:
            return self._distrust(reason)
        if event.life != self._life:
            return self._object() if event.life.number <= self._life.number else self._begin_life(event)
        known = self._manifest
        if known is not None and _age(event) <= _age(known):
            return self._object() if event.round < known.round else []
        if known is not None and not self._succession.believes(event, known.round):
            return [Send("up/ctl", self.hello)] if self._online else []
        self._manifest = event
        return self._turn_to(event)

    def _object(self) -> list[Effect]:
        """A manifest of another run, or from before what we have seen: late, or its aggregator must hear of us."""
        if not self._online or self._now < self._object_at:
            return []
        self._object_at = self._now + limits.RETRY_S
        return [Send("up/ctl", self.hello)]

    def _begin_life(self, manifest: RoundManifest) -> list[Effect]:
        """The aggregator was set back. What it holds of us still counts; all else is made anew, if it may be."""
        sending = self.state is State.SENDING
        kept = self._working if sending and self._working <= manifest.round else 0
        self._barred = self._last_answered(kept) if self._secure else 0
        self._life, self._accepted, self._manifest = manifest.life, 0, manifest
        self._settled = self._barred
        begin = BeginLife(manifest.life, manifest.round, self._barred)
        if kept:  # what it came to must be known first
            return [begin, *(self._ask() if self._online and not self._outgoing.busy else [])]
        effects: list[Effect] = []
        if self.state in {State.WORKING, State.SENDING}:
            effects = [Abandon(self._working, anew=True)]
            self._payload = b""
            self._outgoing.done()
        if self.state is State.ASSEMBLING:
            return [begin]
        if self.state is not State.FETCHING:
            self.state = State.IDLE
        return [*effects, begin, *self._next_round()]

    def _last_answered(self, kept: int) -> int:
        """The last round of this run but `kept`, in any life, whose answer was made."""
        made = (max(rounds) for (run, _), rounds in self._answered.items() if run == self._run and rounds)
        working = self._working if self.state is State.SENDING else 0
        numbers = (self._settled, working, *made)
        return max((number for number in numbers if number != kept), default=0)

    def _passes(self, manifest: RoundManifest) -> bool:
        """Whether we have answered the round already, and no second sum may be made of it."""
        return manifest.state == "open" and manifest.round <= self._barred

    def _on_barred(self, event: Barred) -> list[Effect]:
        if event.round != self._working:
            return []
        self._barred, self._settled = event.round, max(self._settled, event.round)
        self.state, self._payload = State.IDLE, b""
        self._outgoing.done()
        return [Bar(event.round), *self._next_round()]

    def _distrust(self, reason: str) -> list[Effect]:
        """What no aggregator of this plan says is not remembered: it must not make us deaf to the true one."""
        repeated, self._distrusted = self._distrusted, True
        return [] if repeated else [Distrust(reason)]

    def _turn_to(self, manifest: RoundManifest) -> list[Effect]:
        """A newer round runs."""
        if self.state is State.ASSEMBLING:  # its turn comes when the model is there
            return []
        if self.state is State.SENDING:  # its receipt comes all the same, and says "late"
            return self._ask() if self._online and not self._outgoing.busy else []
        if self.state is State.WORKING and self._still_counts(manifest):
            return []  # not interrupted: it is sent when it is done, however late
        effects: list[Effect] = [Abandon(self._working)] if self.state is State.WORKING else []
        if self.state is not State.FETCHING:
            self.state = State.IDLE
        return effects + self._next_round()

    def _still_counts(self, manifest: RoundManifest) -> bool:
        assert self._plan is not None
        share = late_share(self._plan, self._working, manifest.round)
        return manifest.state == "open" and share is not None

    def _has_work(self, manifest: RoundManifest) -> bool:
        asked = draw(manifest.run, manifest.round, self._site) <= manifest.threshold
        made = self._answered.get((self._run, self._life), ())
        answered = manifest.round <= self._settled or manifest.round in made
        return manifest.state == "finished" or (asked and not answered)

    def _next_round(self) -> list[Effect]:
        """Take up what the manifest asks for, if it is new."""
        manifest = self._manifest
        # Without any, the answer to our hello got lost.
        self._retry_at = self._now + (limits.RETRY_S if manifest is None else limits.IDLE_S)
        if manifest is None or not self._has_work(manifest):
            self.state = State.IDLE
            passing = self._online and manifest is not None and self._passes(manifest)
            return [*self._fetch.stop(), *(self._greeting() if passing else [])]
        if manifest.model != self._model:
            return self._go_and_fetch(manifest)
        self._version = manifest.version
        return self._start(manifest)

    def _go_and_fetch(self, manifest: RoundManifest) -> list[Effect]:
        assert self._plan is not None
        size, most = (
            manifest.snapshot.outline.size,
            most_sealed_bytes(most_model_bytes(model_shapes(self._plan))),
        )
        if size > most:  # the deltas are no larger together: nothing is allocated for what cannot be right
            self.state = State.EVICTED
            return [Leave(f"the model that it announces has {size} bytes, the plan's at most {most}")]
        self.state = State.FETCHING
        self._retry_at = self._now + limits.RETRY_S
        return self._fetch.aim(manifest, self._version)

    def _start(self, manifest: RoundManifest) -> list[Effect]:
        if manifest.state == "finished":
            self.state = State.FINISHED
            return [Finish(manifest.version)]
        self.state = State.WORKING
        self._working = manifest.round
        return [Work(manifest.round, manifest.task, manifest.version)]

    def _chunk(self, event: Chunk) -> list[Effect]:
        assert self._manifest is not None
        try:
            effects = self._fetch.add(event)
        except ProtocolError:
            return []  # damaged: it counts as missing and is asked for again
        self._retry_at = self._now + limits.RETRY_S
        if not self._fetch.complete:
            return effects
        self.state = State.ASSEMBLING
        try:
            return [*effects, *self._fetch.finish(self._manifest)]
        except ProtocolError as error:
            return self._misfit(Misfit(str(error)))

    def _assembled(self, event: Assembled) -> list[Effect]:
        self._model, self._version = event.model, event.version
        self.state = State.IDLE
        return self._next_round()

    def _misfit(self, event: Misfit) -> list[Effect]:
        """What was built on the kept model is wrong: build on nothing. That must not fail."""
        assert self._manifest is not None
        if self._version is None:
            self.state = State.EVICTED
            return [Leave(f"the model that it publishes is not the one that it announces: {event.reason}")]
        self._version = None
        return self._go_and_fetch(self._manifest)

    # Sending.

    def _done(self, event: Done) -> list[Effect]:
        if event.round != self._working:
            return []  # it was finished in the moment in which its round was abandoned
        self._payload, self._leaves = event.payload, event.leaves
        return self._send()

    def _send(self) -> list[Effect]:
        self.state = State.SENDING
        if not self._secure:
            self._outgoing.offer(self._run, self._working, self._payload, self._leaves)
        self._retry_at = self._now + limits.RETRY_S
        return self._ask() if self._online else []

    def _missing(self, event: Missing) -> list[Effect]:
        return [Send("up/chunk", piece) for piece in self._outgoing.missing(event, self._now)]

    def _published(self, _: Published) -> list[Effect]:
        self._retry_at = self._now + limits.RETRY_S
        return [Send("up/chunk", piece) for piece in self._outgoing.published(self._now)]

    def _receipt(self, event: Receipt) -> list[Effect]:
        begin = self._outgoing.begin
        if begin is None or event.id != begin.outline.id:
            return []
        if self._secure:  # masked values are there, or not wanted any more: Summed says what becomes of them
            self._outgoing.done()
            return []
        self.state = State.IDLE
        self._settle(begin.round, accepted=event.accepted)
        self._payload = b""
        self._outgoing.done()
        return [Settle(begin.round, event.accepted, event.reason), *self._next_round()]

    def _settle(self, round_: int, *, accepted: bool) -> None:
        self._settled = max(self._settled, round_)
        if accepted:
            self._accepted = max(self._accepted, round_)

    # Secure sums.

    @property
    def _secure(self) -> bool:
        return self._plan is not None and self._plan.privacy.summed

    def _sum_question(self, event: SumQuestion) -> list[Effect]:
        if not self._secure or (event.run, event.round) != (self._run, self._working):
            return []
        self._retry_at = self._now + limits.RETRY_S
        if not isinstance(event, Dealt):  # what was masked is there, or of an attempt before
            self._outgoing.done()
        return [TakePart(event)]

    def _masked(self, event: Masked) -> list[Effect]:
        if event.round != self._working:
            return []
        self._outgoing.offer(self._run, event.round, event.payload)
        return self._ask() if self._online else []

    def _summed(self, event: Summed) -> list[Effect]:
        if not self._secure or (event.run, event.round) != (self._run, self._working):
            return []
        self.state = State.IDLE
        self._settle(event.round, accepted=event.accepted)
        self._payload = b""
        self._outgoing.done()
        return [Settle(event.round, event.accepted, event.reason), *self._next_round()]


def _age(manifest: RoundManifest) -> tuple[int, bool, int]:
    """Later rounds are newer; so is the same round when it asks more sites than before."""
    return manifest.round, manifest.state == "finished", manifest.threshold
