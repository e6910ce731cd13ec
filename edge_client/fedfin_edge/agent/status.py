"""What agent and intake are doing, in small files that anybody who may read the folder can look at while they work.

state/status.json     Status; replaced as a whole at each event. A power cut may lose the last one: nothing needs it
intake/status.json    that of the intake
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec.structs import replace

from fedfin import __version__
from fedfin.decoding import UNDECODABLE
from fedfin.errors import FedfinError
from fedfin.files import replace_file
from fedfin.link.mqtt import Traffic
from fedfin_edge.agent.update import Report

STATUS = "status.json"
PROGRESS_S = 10.0  # between two lines of how far a round is
INTERRUPTED = 130
# What an event says that the site is doing from then on, and what comes next; `{}` are its facts.
_DOING = {
    "connecting": ("connecting to the broker", "asks the aggregator for its plan"),
    "joined": ("waiting for a round", "works when a round asks"),
    "round": ("round {round}: {task}", "sends its update"),
    "sending": ("sending its update of round {round}", "waits for the aggregator's receipt"),
    "received": ("waiting for the round after {round}", "works when a round asks"),
    "waiting": ("waiting: {reason}", "goes on when it is answered"),
    "finished": ("finished", "nothing: the final model is here"),
}
_PROBLEMS = frozenset(
    {
        "offline",
        "refused",
        "bad-message",
        "bad-model",
        "bad-manifest",
        "diverged",
        "unlike",
        "barred",
        "source-failed",
        "held-up",
    }
)


class Problem(msgspec.Struct, frozen=True):
    """What went wrong last, and when (seconds since the epoch)."""

    time: float
    what: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Times: seconds since the epoch. `up`, `down`: bytes of topics and payloads, over all starts.

    `exit_code`: with which the process has ended; None: it has not, or was killed.
    """

    pid: int
    started: float
    doing: str = "starting"
    since: float
    next: str = "connects to the broker"
    version: str = __version__
    online: bool = False
    share: float | None = None
    last_error: Problem | None = None
    up: int = 0
    down: int = 0
    exit_code: int | None = None


def read_status(state: Path) -> Status | None:
    """None: the agent has not been started yet, or another version wrote it."""
    try:
        return msgspec.json.decode((state / STATUS).read_bytes(), type=Status)
    except (FileNotFoundError, *UNDECODABLE):
        return None


class StatusFile:
    """A context around one life of the agent, or of the intake: events in, the file out; its end, and why, too.

    What cannot be written is dropped: a full disk ends nothing here.
    """

    def __init__(self, state: Path) -> None:
        before, now = read_status(state), time.time()
        self._path = state / STATUS
        self._former = (before.up, before.down) if before else (0, 0)
        self._traffic: Callable[[], Traffic] | None = None
        self._lock = threading.Lock()  # the worker reports, too
        self._written = 0.0
        self._status = Status(
            pid=os.getpid(), started=now, since=now, last_error=before.last_error if before else None
        )

    def __enter__(self) -> "StatusFile":
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        code = error.exit_code if isinstance(error, FedfinError) else 1
        if isinstance(error, KeyboardInterrupt):
            code = INTERRUPTED
        elif error is not None:
            self._note(f"{error}" if isinstance(error, FedfinError) else type(error).__name__)
        else:
            self._forget_former()
        self._status = replace(self._status, online=False, exit_code=code if error else 0)
        self._write()

    def measure(self, traffic: Callable[[], Traffic]) -> None:
        """Where to read how much has travelled."""
        self._traffic = traffic

    def reported(self, pass_on: Report) -> Report:
        """A reporter that also keeps the file."""

        def keep_and_report(event: str, facts: dict[str, Any]) -> None:
            with self._lock:
                self._heed(event, facts)
            pass_on(event, facts)

        return keep_and_report

    def _heed(self, event: str, facts: dict[str, Any]) -> None:
        if event == "progress":
            self._status = replace(self._status, share=facts["share"])
            if time.monotonic() - self._written < PROGRESS_S:
                return
        if event in {"online", "offline"}:
            self._status = replace(self._status, online=event == "online")
        if event in _PROBLEMS or (event == "received" and not facts["accepted"]):
            self._note(f"{event}: {facts.get('reason', '')}")
        if event in _DOING:
            doing, then = (text.format(**facts) for text in _DOING[event])
            self._status = replace(self._status, doing=doing, next=then, since=time.time(), share=None)
        self._write()

    def _note(self, what: str) -> None:
        self._status = replace(self._status, last_error=Problem(time.time(), what))

    def _forget_former(self) -> None:
        """A life that ended well and met no problem of its own has got over those of the lives before."""
        last = self._status.last_error
        if last is not None and last.time < self._status.started:
            self._status = replace(self._status, last_error=None)

    def _write(self) -> None:
        if self._traffic is not None:
            traffic = self._traffic()
            up, down = self._former[0] + traffic.up, self._former[1] + traffic.down
            self._status = replace(self._status, up=up, down=down)
        self._written = time.monotonic()
        with contextlib.suppress(FedfinError):
            replace_file(self._path, msgspec.json.encode(self._status))
