"""One byte string on its way up: offered, cut into chunks, sent at the link's pace, asked for again after a cut."""

from fedfin.protocol import limits, transfer
from fedfin.protocol.messages import Begin, Chunk, Missing
from fedfin.protocol.pace import Pace


class Outgoing:
    """The payload of one round of one run, until its owner holds the receipt for it."""

    def __init__(self, run: str, round_: int, payload: bytes) -> None:
        self._run, self._round, self._payload = run, round_, payload
        self._room = limits.CHUNK_BYTES
        self._queue: list[int] = []  # chunks still to be handed to the link
        self._pace = Pace()
        self.begin = self._offer()

    def connected(self, room: int) -> None:
        """A new connection, whose packets have `room` for chunks: what was under way is unknown."""
        self._room = min(limits.CHUNK_BYTES, room)
        self._queue = []
        self._pace.forget()
        if self.begin.outline.chunk_size > self._room:
            self.begin = self._offer()

    def _offer(self) -> Begin:
        outline = transfer.outline(self._payload, transfer.grain(len(self._payload), self._room))
        return Begin(run=self._run, round=self._round, outline=outline)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: an answer is awaited."""
        return not self._queue and self._pace.idle

    def missing(self, answer: Missing, now: float) -> list[Chunk]:
        """The receiver lacks these; the first of them to send. Raises ProtocolError when they do not fit."""
        if answer.id != self.begin.outline.id or not self.idle:
            return []  # an answer to an earlier question; what it lists is under way
        self._queue = transfer.indices(answer.bitmap, len(self.begin.outline.chunks))
        return self._next(now)

    def published(self, now: float) -> list[Chunk]:
        """The broker has taken the oldest under way; the next to send."""
        self._pace.taken(now)
        return self._next(now)

    def _next(self, now: float) -> list[Chunk]:
        plan, pieces = self.begin.outline, []
        while self._queue and (allowed := min(self._pace.packet, self._room)):
            count = transfer.leading_run(self._queue, allowed // plan.chunk_size)
            pieces.append(transfer.chunk(self._payload, plan, self._queue[0], count))
            self._queue = self._queue[count:]
            self._pace.sent(len(pieces[-1].data), now)
        return pieces
