"""The aggregator's side of the protocol, sans-IO: `receive(event, now) -> effects`.

It decides; the server (aggregator/server.py) acts: it journals an update before the receipt for it goes out,
folds, and publishes. What is legal in which state is the table in round_life.py. Messages of sites carry their id
from the topic, which the broker ties to their identity. A message that breaks the protocol costs its sender a
Receipt or an Evict, never the round.
"""

from collections.abc import Callable

from fedfin.errors import ProtocolError
from fedfin.plan import Plan
from fedfin.protocol import limits, transfer
from fedfin.protocol.messages import (
    Begin,
    Chunk,
    Evict,
    Hello,
    Missing,
    Outline,
    Part,
    PartKind,
    Receipt,
    RoundManifest,
    Want,
    Welcome,
)
from fedfin.protocol.round_life import (
    LEGAL,
    ClearParts,
    CloseRound,
    Effect,
    Event,
    FromSite,
    Judge,
    Judged,
    Opened,
    PublishManifest,
    PublishPart,
    Send,
    Stalled,
    State,
    Tick,
)
from fedfin.protocol.schedule import task_of


class AggregatorMachine:
    """All rounds of one federation."""

    def __init__(
        self, plan: Plan, *, run: str, max_update_bytes: int, chunk_size: int = limits.CHUNK_BYTES
    ) -> None:
        self.state = State.STARTING
        self._plan = plan
        self._run = run
        self._max_update_bytes = max_update_bytes
        self._chunk_size = chunk_size
        self._encoders = {modality.name: modality.encoder for modality in plan.modalities}
        self._now = 0.0
        self._round = 0
        self._parts: dict[tuple[PartKind, int], tuple[Outline, bytes]] = {}  # as published
        self._deadline = 0.0
        self._manifest: RoundManifest | None = None
        self._receipts: dict[str, Receipt] = {}  # this round's, by site
        self._earlier: dict[str, Receipt] = {}  # for a site that missed its own before the round closed
        self._transfers: dict[str, transfer.Incoming] = {}  # under way, by site
        self._handlers: dict[type, Callable[..., list[Effect]]] = {
            FromSite: self._from_site,
            Opened: self._opened,
            Judged: self._judged,
            Tick: self._tick,
        }
        self._messages: dict[type, Callable[..., list[Effect]]] = {
            Hello: self._hello,
            Begin: self._begin,
            Chunk: self._chunk,
            Want: self._want,
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

    # Rounds.

    def _opened(self, event: Opened) -> list[Effect]:
        self._round = event.round
        self._receipts, self._earlier = dict(event.receipts), dict(event.earlier)
        self._transfers.clear()
        self._deadline = self._now + self._plan.rounds.deadline_s
        self.state = State.FINISHED if event.finished else State.COLLECTING
        effects = self._publish(event)
        listed = [
            Part(version=part.version, outline=self._parts[part.kind, part.version][0])
            for part in event.parts
        ]
        self._manifest = RoundManifest(
            run=self._run,
            round=event.round,
            task=task_of(self._plan, event.round),
            state="finished" if event.finished else "open",
            version=event.version,
            model=event.model,
            snapshot=listed[0],
            deltas=tuple(listed[1:]),
        )
        effects += [PublishManifest(self._manifest), ClearParts(tuple(self._parts))]
        return effects + ([] if event.finished else self._close_if_full())

    def _publish(self, event: Opened) -> list[Effect]:
        """Parts that are new; those that are no longer needed are forgotten."""
        effects: list[Effect] = []
        former, self._parts = self._parts, {}
        for part in event.parts:
            key = part.kind, part.version
            if key in former:
                self._parts[key] = former[key]
                continue
            outline = transfer.outline(part.data, min(self._chunk_size, event.chunk_size))
            self._parts[key] = outline, part.data
            effects.append(PublishPart(part, outline))
        return effects

    def _tick(self, _: Tick) -> list[Effect]:
        if self._now < self._deadline:
            return []
        if len(self._accepted) >= self._plan.rounds.min_sites:
            return self._close()
        self._deadline = self._now + self._plan.rounds.deadline_s
        return [Stalled(self._round, len(self._accepted))]

    @property
    def _accepted(self) -> list[str]:
        return [site for site, receipt in self._receipts.items() if receipt.accepted]

    def _close_if_full(self) -> list[Effect]:
        return self._close() if len(self._accepted) >= self._plan.rounds.sites else []

    def _close(self) -> list[Effect]:
        self.state = State.FOLDING
        return [CloseRound(self._round)]

    # Messages of sites.

    def _from_site(self, event: FromSite) -> list[Effect]:
        return self._messages[type(event.message)](event.site, event.message)

    def _hello(self, site: str, message: Hello) -> list[Effect]:
        for modality, digest in sorted(message.encoders.items()):
            if self._encoders.get(modality, digest) != digest:
                reason = (
                    f"the plan's {modality} encoder is {self._encoders[modality][:12]}, yours is {digest[:12]};"
                    " install the plan's bundle and encode again"
                )
                return [Send(site, "dn/ctl", Evict(reason=reason))]
        if not set(message.encoders) & set(self._encoders):
            have = ", ".join(sorted(self._encoders))
            return [
                Send(site, "dn/ctl", Evict(reason=f"the plan's modalities are {have}; you have none of them"))
            ]
        return [Send(site, "dn/ctl", Welcome(run=self._run, plan=self._plan)), *self._where(site)]

    def _where(self, site: str) -> list[Effect]:
        """The manifest once more, for a site that may have missed it."""
        return [] if self._manifest is None else [Send(site, "dn/ctl", self._manifest)]

    def _begin(self, site: str, message: Begin) -> list[Effect]:
        id_ = message.outline.id
        if message.run != self._run:  # the plan was set up anew: the site must hear that before it sends
            return [Send(site, "dn/ctl", Welcome(run=self._run, plan=self._plan))]
        for given in (self._receipts.get(site), self._earlier.get(site)):
            if given is not None and given.id == id_:
                return [Send(site, "dn/ctl", given)]
        if (reason := self._refusal(site, message)) is not None:
            return [Send(site, "dn/ctl", Receipt(id=id_, accepted=False, reason=reason))]
        incoming = self._transfers.get(site)
        if incoming is None or incoming.plan != message.outline:
            incoming = self._transfers[site] = transfer.Incoming(message.outline)
        return [Send(site, "dn/ctl", Missing(id=id_, bitmap=incoming.bitmap()))]

    def _refusal(self, site: str, message: Begin) -> str | None:
        if message.round != self._round or self.state is State.FINISHED:
            return f"late: round {message.round} has closed"
        if message.outline.size > self._max_update_bytes:
            return f"too large: {message.outline.size} bytes, at most {self._max_update_bytes}"
        if (given := self._receipts.get(site)) is not None and given.accepted:
            return "this round already has an update of yours"
        return None

    def _chunk(self, site: str, message: Chunk) -> list[Effect]:
        incoming = self._transfers.get(site)
        if incoming is None or message.id != incoming.plan.id:
            return []
        try:
            incoming.add(message)
        except ProtocolError:
            return []  # damaged, or cut for another packet size: it counts as missing and is asked for again
        if not incoming.complete:
            return []
        del self._transfers[site]
        try:
            payload = incoming.data()
        except ProtocolError as error:
            return [Send(site, "dn/ctl", Receipt(id=message.id, accepted=False, reason=str(error)))]
        return [Judge(site, self._round, message.id, payload)]

    def _judged(self, event: Judged) -> list[Effect]:
        self._receipts[event.site] = event.receipt
        return [Send(event.site, "dn/ctl", event.receipt), *self._close_if_full()]

    def _want(self, site: str, message: Want) -> list[Effect]:
        key = message.part, message.version
        if key not in self._parts:
            return self._where(site)
        outline, data = self._parts[key]
        try:
            wanted = transfer.indices(message.bitmap, len(outline.chunks))
        except ProtocolError:
            return []
        return [Send(site, "dn/chunk", transfer.chunk(data, outline, i)) for i in wanted]
