"""A source that is polled: in a thread of its own, again and again, and after a failure less often."""

import threading
import time
from collections.abc import Callable
from typing import Any

from fedfin.errors import FedfinError

Reporter = Callable[[str, dict[str, Any]], None]
_FIRST_S, _LONGEST_S = 60.0, 600.0  # a source that is polled once in a day is not given up for a day
_REST = 50.0  # times what a poll took that found nothing, in CPU time
END_S = 1.5  # a source that waits for its server longer is left behind: systemd gives the service ten seconds


class Polled:
    """Calls `poll`, which returns how many things it found, until it is stopped; a context manager."""

    def __init__(self, name: str, poll: Callable[[], int], *, every: float, report: Reporter) -> None:
        self._name = name
        self._poll = poll
        self._every = every
        self._report = report
        self._stop = threading.Event()
        self._until = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> "Polled":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=max(0.0, self._until - time.monotonic()))

    def stop(self) -> None:
        """Begin no other poll. Of several told so together, all have ended, or are left behind, after END_S."""
        if not self._stop.is_set():
            self._until = time.monotonic() + END_S
            self._stop.set()

    def poll_once(self) -> int:
        """Here and now; how many things were found. Raises FedfinError, in the words of `poll` where it has some."""
        try:
            found = self._poll()
        except FedfinError:
            raise
        except Exception as error:  # noqa: BLE001  its words may name a file, which may be called as a patient
            raise FedfinError(
                f"failed by {type(error).__name__}; check its settings and permissions, else please report this to"
                " FedFIN's developers"
            ) from None
        if found:
            self._report("polled", {"source": self._name, "found": found})
        return found

    def _run(self) -> None:
        first = retry = min(self._every, _FIRST_S)
        while True:
            try:
                begun = time.thread_time()
                found = self.poll_once()
                # A folder of many files that stay takes long to look through, each time.
                pause = self._every if found else max(self._every, _REST * (time.thread_time() - begun))
                retry = first
            except FedfinError as error:
                self._report("source-failed", {"source": self._name, "reason": str(error)})
                pause = retry = min(2 * retry, _LONGEST_S)
            if self._stop.wait(pause):
                return
