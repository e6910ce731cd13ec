"""The site's side of the protocol, sans-IO: `receive(event, now) -> effects`; secure sums are in secure_machine.py.

It decides; the agent (fedfin_edge/agent/agent.py) acts. It never reads a clock, a disk or a socket: time comes in with
each event, bytes that must survive a crash go out as effects before anything is sent that depends on them.
What is legal in which state is the table in states.py.
"""

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.plan import Plan
from fedfin.protocol.invitation import draw
from fedfin.protocol.machine import Machine
from fedfin.protocol.messages.joining import Evict, Hello, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.transfers import Chunk, Missing, Receipt
from fedfin.protocol.outgoing import Outgoing
from fedfin.protocol.refusals import is_late
from fedfin.protocol.schedule import last_round
from fedfin.protocol.site.answered_rounds import AnsweredRounds
from fedfin.protocol.site.effects import (
    Abandon,
    BeginLife,
    Distrust,
    Effect,
    Finish,
    Join,
    Leave,
    MakeFirst,
    Send,
    Settle,
    Work,
)
from fedfin.protocol.site.events import (
    Assembled,
    Connected,
    Disconnected,
    Done,
    Event,
    Misfit,
    Published,
    Tick,
)
from fedfin.protocol.site.fetch import Fetch
from fedfin.protocol.site.manifest_checks import Place, Succession, objection, too_large
from fedfin.protocol.site.memory import Memory
from fedfin.protocol.site.states import LEGAL, State
from fedfin.protocol.staleness import late_share
from fedfin.protocol.versions import Announcement, following, mismatch, party_of

ANOTHER_RUN = "the aggregator began another run of the plan; to take part, start this site with --again"


class SiteMachine(Machine[State, Event, Effect]):
    """One site in one federation whose plan asks for no secure sums; SecureSiteMachine takes part in any."""

    def __init__(self, *, site: str, boot: str, encoders: dict[str, str], memory: Memory) -> None:
        super().__init__(State.JOINING, LEGAL)
        self._boot, self._encoders = boot, encoders
        self._site = site
        self._plan: Plan | None = None
        self._answered = AnsweredRounds(memory)
        self._model, self._version = memory.model, memory.version
        self._manifest: RoundManifest | None = None
        self._succession = Succession()
        self._distrusted = False  # whether a manifest was ignored, which is told once
        self._online = False
        self._retry_at = 0.0
        self._object_at = 0.0  # when an aggregator that is behind, or another, may be contradicted again
        self._fetch = Fetch()
        self._working, self._payload = memory.offer or (0, b"")  # the round being worked on or sent
        self._worked_from = memory.offer_model  # the id of the version that it starts from
        self._leaves = b""  # of the payload, where they are known
        self._outgoing = Outgoing()
        self._announcement = Announcement()
        self._handlers = {
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
        }

    @property
    def hello(self) -> Hello:
        """Who we are, and where we stand."""
        answered = self._answered
        seen = 0 if self._manifest is None else self._manifest.round
        return Hello(
            boot=self._boot,
            encoders=self._encoders,
            run=answered.run,
            life=answered.life,
            seen=max(seen, answered.accepted, answered.begun),
            accepted=answered.accepted,
            party=self._announcement.party,
        )

    @property
    def _secure(self) -> bool:
        """Whether the plan asks for secure sums."""
        return self._plan is not None and self._plan.privacy.summed

    def greet(self) -> Hello:
        """Said to another start of the aggregator, until it answers."""
        self._announcement.ask()
        return self.hello

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
        return [*self._hello_again(), *self._ask()]

    def _hello_again(self) -> list[Effect]:
        """An aggregator that has not heard where we stand may be behind, and go on with what it knows of us."""
        if self.state not in {State.FETCHING, State.SENDING} or not self._announcement.waiting:
            return []  # else it is what the state asks for
        self._announcement.ask_again()
        return [Send("up/ctl", self.hello)]

    def _ask(self) -> list[Effect]:
        """Repeat the question whose answer this state waits for."""
        if self.state in {State.JOINING, State.IDLE}:  # IDLE: the manifest may have got lost; hello brings it
            self._announcement.ask_again()
            return self._greeting()
        if self.state is State.FETCHING:
            return self._fetch.wants()
        return self._offer()

    def _offer(self) -> list[Effect]:
        """The whole Begin again: an aggregator that has forgotten the transfer needs its outline."""
        assert self._outgoing.begin is not None
        return [Send("up/ctl", self._outgoing.begin)]

    def _greeting(self) -> list[Effect]:
        self._announcement.ask()
        return [Send("up/ctl", self.hello)]

    # Joining, and being dropped.

    def _welcome(self, event: Welcome) -> list[Effect]:
        self._announcement.answered(event.party)
        reason = mismatch(following(event.plan, self._announcement.ours), party_of(event.party))
        if reason is None and self.state is State.JOINING:
            return [Join(event.run, event.plan), *self._joined(event)]
        if reason is None and event.run == self._answered.run:
            return []
        return self._leave(reason or ANOTHER_RUN)

    def _joined(self, event: Welcome) -> list[Effect]:
        self._plan = event.plan
        if event.run != self._answered.run:  # deltas of another run's versions lead elsewhere
            self._answered.begin_run(event.run)
            self._version, self._payload = None, b""
        if self._payload:  # whatever became of its round: what the update came to must be known first
            return self._send()
        if self._version is None:
            self.state = State.ASSEMBLING
            return [MakeFirst()]
        self.state = State.IDLE
        return self._next_round()

    def _evict(self, event: Evict) -> list[Effect]:
        return self._leave(event.reason)

    def _leave(self, reason: str) -> list[Effect]:
        self.state = State.EVICTED
        return [Leave(reason)]

    # Rounds.

    def _round_manifest(self, event: RoundManifest) -> list[Effect]:
        if (
            event.run != self._answered.run
        ):  # left from before, or of the plan set up anew: a hello's answer tells
            return self._object()
        assert self._plan is not None
        if (reason := objection(self._plan, event)) is not None:
            return self._distrust(reason)
        return self._possible_manifest(event)

    def _possible_manifest(self, event: RoundManifest) -> list[Effect]:
        match self._succession.judge(event, self._manifest, self._answered.life):
            case Place.NEWER:
                self._manifest = event
                return self._turn_to(event)
            case Place.REWOUND:
                return self._begin_life(event)
            case Place.OUTDATED:
                return self._object()
            case Place.DOUBTED if self._online:
                return [Send("up/ctl", self.hello)]
        return []

    def _object(self) -> list[Effect]:
        """A manifest of another run, or from before what we have seen: late, or its aggregator must hear of us."""
        if not self._online or self._now < self._object_at:
            return []
        self._object_at = self._now + limits.RETRY_S
        return [Send("up/ctl", self.hello)]

    def _begin_life(self, manifest: RoundManifest) -> list[Effect]:
        """The aggregator was set back. What it holds of us still counts; all else is made anew, if it may be."""
        sent = self._working if self.state is State.SENDING else 0
        kept = sent if sent <= manifest.round and not self._is_outdated(manifest) else 0
        barred = self._answered.last(sent, but=kept) if self._secure else 0
        self._answered.begin_life(manifest.life, barred)
        self._manifest = manifest
        begin = BeginLife(manifest.life, manifest.round, barred)
        if kept:  # what it came to must be known first
            return [begin, *(self._ask() if self._online and not self._outgoing.busy else [])]
        effects: list[Effect] = []
        if self.state in {State.WORKING, State.SENDING}:
            effects = [Abandon(self._working)]
            self._drop_update()
        if self.state is State.ASSEMBLING:
            return [begin]
        if self.state is not State.FETCHING:
            self.state = State.IDLE
        return [*effects, begin, *self._next_round()]

    def _is_outdated(self, manifest: RoundManifest) -> bool:
        """Whether what is sent was made from another version than the round starts from now: no sum takes it."""
        return self._secure and self._working == manifest.round and self._worked_from != manifest.model

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
        return manifest.state == "finished" or (asked and not self._answered.holds(manifest.round))

    def _next_round(self) -> list[Effect]:
        """Take up what the manifest asks for, if it is new."""
        manifest = self._manifest
        # Without any, the answer to our hello got lost.
        self._retry_at = self._now + (limits.RETRY_S if manifest is None else limits.IDLE_S)
        if manifest is None or not self._has_work(manifest):
            return self._rest()
        if manifest.model != self._model:
            return self._go_and_fetch(manifest)
        self._version = manifest.version
        return self._start(manifest)

    def _rest(self) -> list[Effect]:
        self.state = State.IDLE
        return self._fetch.stop()

    def _go_and_fetch(self, manifest: RoundManifest) -> list[Effect]:
        assert self._plan is not None
        if (reason := too_large(self._plan, manifest)) is not None:
            return self._leave(reason)
        self.state = State.FETCHING
        self._retry_at = self._now + limits.RETRY_S
        effects = self._fetch.aim(manifest, self._version)
        return [*effects, *self._assemble_if_complete(manifest)]

    def _start(self, manifest: RoundManifest) -> list[Effect]:
        if manifest.state == "finished":
            self.state = State.FINISHED
            return [Finish(manifest.version)]
        self.state = State.WORKING
        self._working, self._worked_from = manifest.round, manifest.model
        return [Work(manifest.round, manifest.task, manifest.version)]

    def _chunk(self, event: Chunk) -> list[Effect]:
        assert self._manifest is not None
        try:
            effects = self._fetch.add(event)
        except ProtocolError:
            return []  # damaged: it counts as missing and is asked for again
        self._retry_at = self._now + limits.RETRY_S
        return [*effects, *self._assemble_if_complete(self._manifest)]

    def _assemble_if_complete(self, manifest: RoundManifest) -> list[Effect]:
        """With a manifest that needs fewer parts than the one before it, all may have come."""
        if not self._fetch.complete:
            return []
        self.state = State.ASSEMBLING
        try:
            return self._fetch.finish(manifest)
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
            return self._leave(
                f"the model that it publishes is not the one that it announces: {event.reason}"
            )
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
        self._take_up()
        self._retry_at = self._now + limits.RETRY_S
        return self._ask() if self._online else []

    def _take_up(self) -> None:
        """What is computed can leave as it is."""
        self._outgoing.offer(self._answered.run, self._working, self._payload, self._leaves)

    def _missing(self, event: Missing) -> list[Effect]:
        return [Send("up/chunk", piece) for piece in self._outgoing.missing(event, self._now)]

    def _published(self, _: Published) -> list[Effect]:
        self._retry_at = self._now + limits.RETRY_S
        return [Send("up/chunk", piece) for piece in self._outgoing.published(self._now)]

    def _receipt(self, event: Receipt) -> list[Effect]:
        begin = self._outgoing.begin
        if begin is None or event.id != begin.outline.id:
            return []
        return self._settle(begin.round, accepted=event.accepted, reason=event.reason)

    def _settle(self, round_: int, *, accepted: bool, reason: str) -> list[Effect]:
        self.state = State.IDLE
        begun = self._after(round_) if is_late(reason) else 0
        self._answered.settle(round_, accepted=accepted, begun=begun)
        self._drop_update()
        return [Settle(round_, accepted, reason, begun), *self._next_round()]

    def _after(self, round_: int) -> int:
        return round_ if self._plan is None else min(round_ + 1, last_round(self._plan))

    def _drop_update(self) -> None:
        self._payload = b""
        self._outgoing.done()
