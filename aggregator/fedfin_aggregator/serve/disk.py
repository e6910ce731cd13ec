"""Waits for the disk in a thread of its own: what is judged meanwhile shares the next flush.

An answer is handed out only when what it answers is durable, and in the order in which they came.
"""

import threading
from collections.abc import Callable, Sequence

from fedfin.protocol.round_states import Answer
from fedfin_aggregator.store.update_writer import Entry

Write = Callable[[Sequence[Entry]], None]
WAITING_BYTES = 8 * 1024 * 1024  # of updates that wait for the flush before theirs; beyond, it is waited for


class Disk:
    """`write` makes entries durable; `wake` is called, in the thread, when answers are ready for `take`."""

    def __init__(self, write: Write, wake: Callable[[], None]) -> None:
        self._write, self._wake = write, wake
        self._entries: list[Entry] = []  # that wait until the disk is free
        self._answers: list[Answer] = []  # ... and what is answered then
        self._under_way: list[Answer] = []
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._over = False

    def add(self, entries: Sequence[Entry], answers: Sequence[Answer]) -> None:
        """These answers may go out once these entries are durable."""
        self._entries += entries
        self._answers += answers
        self._begin()
        if sum(len(entry.payload or b"") for entry in self._entries) > WAITING_BYTES:
            self.wait()

    def take(self) -> tuple[Answer, ...]:
        """The answers that are ready. Raises what writing raised."""
        if not self._over:
            return ()
        return self._end()

    def settle(self) -> tuple[Answer, ...]:
        """All answers, after waiting for the disk. Raises what writing raised."""
        ready: tuple[Answer, ...] = ()
        while self._thread is not None:
            self.wait()
            ready += self._end()
        return ready

    def wait(self) -> None:
        """Until nothing is being written."""
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        if self._thread is not None or not self._entries:
            return
        entries, self._entries = self._entries, []
        self._under_way, self._answers = self._answers, []
        self._thread = threading.Thread(target=self._run, args=(entries,), name="disk", daemon=True)
        self._thread.start()

    def _run(self, entries: Sequence[Entry]) -> None:
        try:
            self._write(entries)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must not go on
            self._error = error
        self._over = True
        self._wake()

    def _end(self) -> tuple[Answer, ...]:
        ready, self._under_way = tuple(self._under_way), []
        self._thread, self._over = None, False
        if self._error is not None:
            raise self._error
        self._begin()
        return ready
