"""One byte string on its way up: offered, cut into chunks, sent a window at a time, asked for again after a cut."""

from fedfin.protocol import limits, transfer
from fedfin.protocol.messages import Begin, Chunk, Missing


class Outgoing:
    """The payload of one round of one run, until its owner holds the receipt for it."""

    def __init__(self, run: str, round_: int, payload: bytes, chunk_size: int) -> None:
        self._run, self._round, self._payload = run, round_, payload
        self.recut(chunk_size)

    def recut(self, chunk_size: int) -> None:
        """A new connection: what was under way is unknown, and the broker may want other packets."""
        outline = transfer.outline(self._payload, chunk_size)
        self.begin = Begin(run=self._run, round=self._round, outline=outline)
        self._queue: list[int] = []  # chunks still to be handed to the link
        self._unacked = 0  # chunks handed over, not yet taken by the broker

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: an answer is awaited."""
        return not self._queue and not self._unacked

    def missing(self, answer: Missing) -> list[Chunk]:
        """The receiver lacks these; the first of them to send. Raises ProtocolError when they do not fit."""
        if answer.id != self.begin.outline.id or not self.idle:
            return []  # an answer to an earlier question; what it lists is under way
        self._queue = transfer.indices(answer.bitmap, len(self.begin.outline.chunks))
        return self._fill_window()

    def published(self) -> list[Chunk]:
        """The broker has taken one; the next to send."""
        self._unacked = max(0, self._unacked - 1)
        return self._fill_window()

    def _fill_window(self) -> list[Chunk]:
        room = limits.WINDOW - self._unacked
        batch, self._queue = self._queue[:room], self._queue[room:]
        self._unacked += len(batch)
        return [transfer.chunk(self._payload, self.begin.outline, index) for index in batch]
