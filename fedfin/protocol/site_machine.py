"""The site's side of the protocol, sans-IO: `receive(event, now) -> effects`.

It decides; the agent (edge_client/agent.py) acts. It never reads a clock, a disk or a socket: time comes in with
each event, bytes that must survive a crash go out as effects before anything is sent that depends on them.
What is legal in which state is the table in site_life.py.
"""

from collections.abc import Callable

from fedfin.plan import Plan
from fedfin.protocol import limits, transfer
from fedfin.protocol.invitation import draw
from fedfin.protocol.messages import (
    Begin,
    Chunk,
    Evict,
    Hello,
    Missing,
    Receipt,
    RoundManifest,
    Want,
    Welcome,
)
from fedfin.protocol.policy import late_share
from fedfin.protocol.site_life import (
    LEGAL,
    Abandon,
    Connected,
    Disconnected,
    Done,
    Effect,
    Event,
    Finish,
    Follow,
    Join,
    KeepModel,
    Leave,
    Published,
    Send,
    Settle,
    State,
    Tick,
    Unfollow,
    Work,
)


class SiteMachine:
    """One site in one federation.

    What it remembers from before a restart: `run`, `settled` (the last round of that run it holds a receipt
    for) and `model` (the SHA-256 of the global model it keeps).
    """

    def __init__(
        self,
        *,
        site: str,
        boot: str,
        encoders: dict[str, str],
        run: str = "",
        settled: int = 0,
        model: bytes = b"",
    ) -> None:
        self.state = State.JOINING
        self._hello = Hello(boot=boot, encoders=encoders)
        self._site = site
        self._plan: Plan | None = None
        self._run = run
        self._settled = settled
        self._model = model
        self._manifest: RoundManifest | None = None
        self._online = False
        self._chunk_size = limits.CHUNK_BYTES
        self._now = 0.0
        self._retry_at = 0.0
        self._incoming: transfer.Incoming | None = None
        self._working = 0  # the round being worked on or sent
        self._payload = b""
        self._begin: Begin | None = None
        self._queue: list[int] = []  # chunks still to be handed to the link
        self._unacked = 0  # chunks handed over, not yet taken by the broker
        self._handlers: dict[type, Callable[..., list[Effect]]] = {
            Connected: self._connected,
            Disconnected: self._disconnected,
            Tick: self._tick,
            Welcome: self._welcome,
            Evict: self._evict,
            RoundManifest: self._round_manifest,
            Chunk: self._chunk,
            Done: self._done,
            Published: self._published,
            Missing: self._missing,
            Receipt: self._receipt,
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

    # The link.

    def _connected(self, event: Connected) -> list[Effect]:
        self._online = True
        self._chunk_size = min(self._chunk_size, event.chunk_size)
        if self._begin is not None:
            self._begin = self._offer()  # in chunks that fit this broker's packets
        self._retry_at = self._now + limits.RETRY_S
        # The aggregator may have been restarted meanwhile: it learns of us again, whatever our state.
        effects: list[Effect] = [Send("up/ctl", self._hello)]
        if self.state is State.FETCHING and self._manifest is not None:
            effects.append(Follow(self._manifest.version))
        if self.state is State.SENDING:
            effects += self._ask()
        return effects

    def _disconnected(self, _: Disconnected) -> list[Effect]:
        self._online = False
        self._queue, self._unacked = [], 0  # what was under way is unknown; the bitmap will tell
        return []

    def _tick(self, _: Tick) -> list[Effect]:
        if not self._online or self._now < self._retry_at or self._queue or self._unacked:
            return []
        self._retry_at = self._now + (limits.IDLE_S if self.state is State.IDLE else limits.RETRY_S)
        return self._ask()

    def _ask(self) -> list[Effect]:
        """Repeat the question whose answer this state waits for."""
        if self.state in {State.JOINING, State.IDLE}:  # IDLE: the manifest may have got lost; hello brings it
            return [Send("up/ctl", self._hello)]
        if self.state is State.FETCHING and self._incoming is not None and self._manifest is not None:
            missing = self._incoming.missing
            bits = transfer.bitmap(missing, len(self._incoming.plan.chunks))
            return [Send("up/ctl", Want(version=self._manifest.version, bitmap=bits))]
        assert self._begin is not None
        # The whole Begin again: an aggregator that has forgotten the transfer needs its outline.
        return [Send("up/ctl", self._begin)]

    # Joining, and being dropped.

    def _welcome(self, event: Welcome) -> list[Effect]:
        if self.state is not State.JOINING:
            if event.run == self._run:
                return []
            self.state = State.EVICTED
            return [Leave("the aggregator began another run of the plan; start this site again to take part")]
        if event.run != self._run:
            self._run, self._settled = event.run, 0
        self._plan = event.plan
        self.state = State.IDLE
        return [Join(event.run, event.plan), *self._next_round()]

    def _evict(self, event: Evict) -> list[Effect]:
        self.state = State.EVICTED
        return [Leave(event.reason)]

    # Rounds.

    def _round_manifest(self, event: RoundManifest) -> list[Effect]:
        known = self._manifest
        if known is not None and known.run == event.run and _age(event) <= _age(known):
            return []
        if self.state is not State.JOINING and event.run != self._run:
            return []
        self._manifest = event
        if self.state is State.JOINING:
            return []
        if self.state is State.SENDING:  # its receipt comes all the same, and says "late"
            return self._ask() if self._online and not self._queue and not self._unacked else []
        if self.state is State.WORKING and self._still_counts(event):
            return []  # not interrupted: it is sent when it is done, however late
        effects: list[Effect] = [Abandon(self._working)] if self.state is State.WORKING else []
        self.state = State.IDLE
        return effects + self._next_round()

    def _still_counts(self, manifest: RoundManifest) -> bool:
        assert self._plan is not None
        share = late_share(self._plan, self._working, manifest.round)
        return manifest.state == "open" and share is not None

    def _asked(self, manifest: RoundManifest) -> bool:
        return draw(manifest.run, manifest.round, self._site) <= manifest.threshold

    def _next_round(self) -> list[Effect]:
        """From IDLE: take up what the manifest asks for, if it is new."""
        manifest = self._manifest
        self._retry_at = self._now + limits.IDLE_S
        if manifest is None or manifest.run != self._run:
            return []
        if manifest.state == "open" and (manifest.round <= self._settled or not self._asked(manifest)):
            return []
        if manifest.model.id != self._model:
            self.state = State.FETCHING
            self._incoming = transfer.Incoming(manifest.model)
            self._retry_at = self._now + limits.RETRY_S
            return [Follow(manifest.version)]
        return self._start(manifest)

    def _start(self, manifest: RoundManifest) -> list[Effect]:
        if manifest.state == "finished":
            self.state = State.FINISHED
            return [Finish(manifest.version)]
        self.state = State.WORKING
        self._working = manifest.round
        return [Work(manifest.round, manifest.task, manifest.version)]

    def _chunk(self, event: Chunk) -> list[Effect]:
        incoming, manifest = self._incoming, self._manifest
        assert incoming is not None
        assert manifest is not None
        if event.id != incoming.plan.id:
            return []  # of a version that has been replaced
        incoming.add(event)
        self._retry_at = self._now + limits.RETRY_S
        if not incoming.complete:
            return []
        self._model = manifest.model.id
        self._incoming = None
        keep = KeepModel(manifest.version, incoming.data())
        return [Unfollow(manifest.version), keep, *self._start(manifest)]

    # Sending.

    def _done(self, event: Done) -> list[Effect]:
        if event.round != self._working:
            return []  # it was finished in the moment in which its round was abandoned
        self.state = State.SENDING
        self._payload = event.payload
        self._begin = self._offer()
        self._retry_at = self._now + limits.RETRY_S
        return self._ask() if self._online else []

    def _offer(self) -> Begin:
        outline = transfer.outline(self._payload, self._chunk_size)
        return Begin(run=self._run, round=self._working, outline=outline)

    def _missing(self, event: Missing) -> list[Effect]:
        begin = self._begin
        assert begin is not None
        if event.id != begin.outline.id or self._queue or self._unacked:
            return []  # an answer to an earlier question; what it lists is under way
        self._queue = transfer.indices(event.bitmap, len(begin.outline.chunks))
        return self._fill_window()

    def _published(self, _: Published) -> list[Effect]:
        self._unacked = max(0, self._unacked - 1)
        self._retry_at = self._now + limits.RETRY_S
        return self._fill_window()

    def _fill_window(self) -> list[Effect]:
        assert self._begin is not None
        room = limits.WINDOW - self._unacked
        batch, self._queue = self._queue[:room], self._queue[room:]
        self._unacked += len(batch)
        plan = self._begin.outline
        return [Send("up/chunk", transfer.chunk(self._payload, plan, index)) for index in batch]

    def _receipt(self, event: Receipt) -> list[Effect]:
        begin = self._begin
        assert begin is not None
        if event.id != begin.outline.id:
            return []
        self.state = State.IDLE
        self._settled = begin.round
        self._begin, self._payload, self._queue, self._unacked = None, b"", [], 0
        return [Settle(begin.round, event.accepted, event.reason), *self._next_round()]


def _age(manifest: RoundManifest) -> tuple[int, bool, int]:
    """Later rounds are newer; so is the same round when it asks more sites than before."""
    return manifest.round, manifest.state == "finished", manifest.threshold
