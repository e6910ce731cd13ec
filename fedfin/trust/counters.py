"""Numbers that only grow, so that what was said once cannot be said again by somebody else.

A sender's numbers are microseconds since the epoch, or one more than the last, whichever is greater: they grow also
over a restart from an old backup, and, as the last one is kept, when a clock goes back. A receiver keeps the highest
that it has heard on each topic from each key. Both are written once in SAVE_S: what could be repeated after a crash is
younger than that, and every message of the protocol may come twice.
"""

import threading
import time
from pathlib import Path

import msgspec

from fedfin.errors import ProtocolError
from fedfin.files import write_atomically

COUNTERS = "counters.json"  # in the folder of keys
SAVE_S = 30.0
_AHEAD = int(SAVE_S * 1e6)


class Counters:
    """One party's, in a file. `next` may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._heard: dict[str, int] = {}
        self._sent = 0
        self._reserved = 0  # no number above this one was given out before the last write
        self._saved_at = 0.0
        self._read()

    def _read(self) -> None:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.MsgspecError):
            return  # damaged: time alone counts
        self._sent = kept.pop("", 0)
        self._heard = kept

    def next(self) -> int:
        """The number of the next message."""
        with self._lock:
            self._sent = max(self._sent + 1, time.time_ns() // 1000)
            if self._sent > self._reserved:
                self._reserved = self._sent + _AHEAD
                self._write()
            return self._sent

    def check(self, source: str, counter: int, *, again: bool) -> None:
        """Take note of a number. `again`: the highest may be repeated, as the broker's retained messages are.

        Raises ProtocolError for an older one.
        """
        with self._lock:
            highest = self._heard.get(source, -1)
            if counter < highest or (counter == highest and not again):
                raise ProtocolError(
                    "it was sent before what has come already: repeated, or held back on the way"
                )
            self._heard[source] = counter
            if time.monotonic() - self._saved_at > SAVE_S:
                self._write()

    def save(self) -> None:
        """Write down what stands."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        self._saved_at = time.monotonic()
        write_atomically(self._path, msgspec.json.encode(self._heard | {"": max(self._reserved, self._sent)}))
