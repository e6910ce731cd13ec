"""The spool: what was acknowledged and is not yet encoded. A file each, gone as soon as its features are kept.

It works as a Maildir does: written under another name, flushed, renamed, the folder flushed; then the sender gets its
answer. What a crash leaves half written was never acknowledged. File names are numbers.
"""

import os
import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from fedfin.errors import FedfinError, StateError
from fedfin.files import flush_folder, make_folder, write_atomically
from fedfin_edge.intake.watermarks import Watermarks

Kind = Literal["dicom", "report", "deletion", "refusal"]
SPOOL = "spool"
ASIDE = ".aside"
_UNWRITABLE = "the spool cannot be written"


class FullError(FedfinError):
    """There is no room: the sender must keep it and try again."""


class Spool:
    """A durable queue; any thread may put, one takes."""

    def __init__(self, folder: Path, *, most_queued: int, least_free_mb: int) -> None:
        """Open or make it. What was set aside is in the queue again. Raises StateError."""
        make_folder(folder)
        self._folder = folder
        self._marks = Watermarks(folder, most_queued=most_queued, least_free_mb=least_free_mb)
        self._lock = threading.Lock()
        self.arrived = threading.Event()
        drop_half_written(folder)
        for path in folder.glob(f"*{ASIDE}"):
            path.rename(path.with_suffix(""))
        waiting = self.waiting()
        self._queued = len(waiting)
        self._upcoming: deque[Path] = deque()
        self._unwritable = False
        self._next = int(waiting[-1].name.partition(".")[0]) + 1 if waiting else 1

    def __len__(self) -> int:
        """How many wait, without those that were set aside."""
        return self._queued

    def refusal(self) -> str:
        """Why nothing is accepted now; "" while there is room."""
        return self._marks.reason(self._queued, 0) or (_UNWRITABLE if self._unwritable else "")

    def put(self, kind: Kind, data: bytes) -> None:
        """Durable when this returns. Raises FullError."""
        if reason := self._marks.reason(self._queued, len(data)):
            raise FullError(reason)
        with self._lock:
            number, self._next = self._next, self._next + 1
        try:
            write_atomically(self._folder / f"{number:012}.{kind}", data)
        except StateError:
            self._unwritable = True
            raise FullError(_UNWRITABLE) from None
        with self._lock:
            self._unwritable = False
            self._queued += 1
        self.arrived.set()

    def waiting(self) -> list[Path]:
        """What is to be done, in the order of arrival."""
        return [path for path in all_spooled(self._folder) if path.suffix != ASIDE]

    def upcoming(self, most: int) -> list[Path]:
        """The first of these. The folder is listed once for all that wait, for in a long queue that takes long."""
        if not (found := self._still_there(most)):
            self._upcoming = deque(self.waiting())
            with self._lock:
                self._queued = len(self._upcoming)
            found = self._still_there(most)
        return found

    def _still_there(self, most: int) -> list[Path]:
        """What is done or set aside is not, nor what another process has forgotten."""
        while self._upcoming and not self._upcoming[0].exists():
            self._upcoming.popleft()
        return [path for path in islice(self._upcoming, most) if path.exists()]

    def remove(self, paths: Sequence[Path]) -> None:
        """What is done for good."""
        for path in paths:
            path.unlink(missing_ok=True)
        flush_folder(self._folder)
        with self._lock:
            self._queued = max(0, self._queued - len(paths))

    def set_aside(self, path: Path) -> None:
        """What cannot be done now, and must not hold up the rest, until the spool is opened again."""
        path.rename(path.with_name(path.name + ASIDE))
        with self._lock:
            self._queued = max(0, self._queued - 1)


class Queue(NamedTuple):
    """How many files of a spool wait, and how many were set aside."""

    waiting: int
    aside: int


def queue_of(folder: Path) -> Queue:
    """Of a spool that another process may have open."""
    spooled = all_spooled(folder)
    aside = sum(path.suffix == ASIDE for path in spooled)
    return Queue(len(spooled) - aside, aside)


def refusal_of(folder: Path, *, most_queued: int, least_free_mb: int) -> str:
    """Why such a spool would accept nothing now, whether or not it is there yet; "" if there is room."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    marks = Watermarks(there, most_queued=most_queued, least_free_mb=least_free_mb)
    return marks.reason(queue_of(folder).waiting, 0)


def drop_half_written(folder: Path) -> None:
    """What a kill left was never acknowledged. Call it while nobody puts."""
    for half in folder.glob(".*"):
        half.unlink(missing_ok=True)


def all_spooled(folder: Path) -> list[Path]:
    """All that a spool's folder holds, in the order of arrival; none where there is no spool."""
    # Not by glob, which takes ten times as long: 7 ms for 10,000 files, at every batch.
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208
    return [folder / name for name in sorted(names) if name[0].isdigit()]
