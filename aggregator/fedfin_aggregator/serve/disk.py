"""Waits for the disk in a thread of its own: what is judged meanwhile shares the next flush.

An answer is handed out only when what it answers is durable, and in the order in which they came.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from fedfin.protocol.round_states import Answer
from fedfin_aggregator.store.update_writer import Entry

Write = Callable[[Sequence[Entry]], None]
# Of updates that wait for the flush before theirs; beyond, it is waited for, and nothing else is judged. Two of 5 MB:
# eight sites' round takes 5 % less than with 2 MiB, and the aggregator 5 MB more.
WAITING_BYTES = 8 * 1024 * 1024


class Disk:
    """`write` makes entries durable; `wake` is called, in the thread, when answers are ready for `take`."""

    def __init__(self, write: Write, wake: Callable[[], None]) -> None:
        self._write, self._wake = write, wake
        self._entries: list[Entry] = []  # that wait until the disk is free
        self._bytes = 0  # of these
        self._answers: list[Answer] = []  # ... and what is answered then
        self._under_way: list[Answer] = []
        self._ready: list[Answer] = []
        self._pool = ThreadPoolExecutor(1, "disk")
        self._writing: Future[None] | None = None
        self._over = False

    def add(self, entries: Sequence[Entry], answer: Answer) -> None:
        """This answer may go out once these entries are durable. Waits for the disk where too much would wait."""
        self._entries += entries
        self._answers.append(answer)
        self._bytes += sum(len(entry.payload or b"") for entry in entries)
        if self._bytes > WAITING_BYTES:
            self._finish()
            self.begin()

    def begin(self) -> None:
        """Write what waits, as soon as the disk is free."""
        if self._writing is not None or not self._entries:
            return
        entries, self._entries, self._bytes = self._entries, [], 0
        self._under_way, self._answers = self._answers, []
        self._writing = self._pool.submit(self._run, entries)

    def take(self) -> list[Answer]:
        """The answers that are ready. Raises what writing raised."""
        if self._over:
            self._finish()
            self.begin()
        ready, self._ready = self._ready, []
        return ready

    def settle(self) -> list[Answer]:
        """All answers, after waiting for the disk. Raises what writing raised."""
        self._finish()
        self.begin()
        self._finish()
        return self.take()

    def close(self) -> None:
        """After what is being written; what waits is not."""
        self._pool.shutdown()

    def _run(self, entries: Sequence[Entry]) -> None:
        try:
            self._write(entries)
        finally:
            self._over = True
            self._wake()

    def _finish(self) -> None:
        """What was being written is durable."""
        if self._writing is not None:
            self._writing.result()
        self._writing, self._over = None, False
        self._ready += self._under_way
        self._under_way = []
