"""When to refuse: too little room on the disk, or too much in the queue; and when to accept again."""

import shutil
import threading
from pathlib import Path

# Room must have come back by so much, or sender and queue would go to and fro at the mark.
_AGAIN = 0.9
_MB = 1_000_000
QUEUE_FULL = "the queue is full"


class Watermarks:
    """Above `most_queued` things in the queue, or below `least_free_mb` on its disk, nothing is accepted."""

    def __init__(self, folder: Path, *, most_queued: int, least_free_mb: int) -> None:
        self._folder = folder
        self._most = most_queued
        self._least = least_free_mb * _MB
        self._lock = threading.Lock()
        self._refusing = ""

    def reason(self, queued: int, size: int) -> str:
        """Why `size` more bytes are refused now; "" if they are not."""
        with self._lock:
            self._refusing = self._judge(queued, size)
            return self._refusing

    def _judge(self, queued: int, size: int) -> str:
        most = self._most * _AGAIN if self._refusing else self._most
        least = self._least / _AGAIN if self._refusing else self._least
        if queued >= most:
            return QUEUE_FULL
        if shutil.disk_usage(self._folder).free - size < least:
            return "the disk is full"
        return ""
