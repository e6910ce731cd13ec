"""One byte string at a time on its way up: offered, cut into chunks, sent at the link's pace, asked for after a cut."""

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing
from fedfin.protocol.pace import Pace


class Outgoing:
    """What one sender delivers; `begin`: its offer, None while it has nothing to send."""

    def __init__(self) -> None:
        self.begin: Begin | None = None
        self._payload = self._leaves = b""
        self._room = limits.CHUNK_BYTES  # of one packet
        self._queue: list[int] = []  # chunks still to be handed to the link
        self._pace = Pace()  # of what was handed over and is not yet taken by the broker

    def offer(self, run: str, round_: int, payload: bytes, leaves: bytes = b"") -> Begin:
        """Take up a payload. `leaves`: its leaves (transfer.py), when they were made before."""
        outline = transfer.outline(payload, transfer.grain(len(payload), self._room), leaves)
        self._payload, self._leaves = payload, leaves
        self.begin = Begin(run=run, round=round_, outline=outline)
        return self.begin

    def done(self) -> None:
        """There is a receipt for it."""
        self.begin, self._payload, self._leaves = None, b"", b""
        self.cut()

    def connected(self, room: int) -> None:
        """The link is up, with `room` for chunks in each of this broker's packets."""
        self._room = min(limits.MOST_CHUNK_BYTES, room)
        if self.begin is not None and self.begin.outline.chunk_size > self._room:
            self.offer(self.begin.run, self.begin.round, self._payload, self._leaves)

    def cut(self) -> None:
        """The link is down: what was under way is unknown; the bitmap will tell."""
        self._queue = []
        self._pace.forget()

    @property
    def busy(self) -> bool:
        """Whether chunks wait, or are under way; if not, an answer is awaited."""
        return bool(self._queue) or not self._pace.idle

    def missing(self, answer: Missing, now: float) -> list[Chunk]:
        """The receiver lacks these; the first of them to send. Raises ProtocolError when they do not fit."""
        if self.begin is None or answer.id != self.begin.outline.id or self.busy:
            return []  # an answer to an earlier question; what it lists is under way
        self._queue = transfer.indices(answer.bitmap, len(self.begin.outline.chunks))
        return self._next(self.begin, now)

    def published(self, now: float) -> list[Chunk]:
        """The broker has taken the oldest under way; the next to send."""
        self._pace.taken(now)
        return [] if self.begin is None else self._next(self.begin, now)

    def _next(self, begin: Begin, now: float) -> list[Chunk]:
        plan, pieces = begin.outline, []
        while self._queue and (allowed := self._pace.packet(self._room)):
            count = transfer.leading_run(self._queue, allowed // plan.chunk_size)
            pieces.append(transfer.chunk(self._payload, plan, self._queue[0], count))
            self._queue = self._queue[count:]
            self._pace.sent(len(pieces[-1].data), now)
        return pieces
