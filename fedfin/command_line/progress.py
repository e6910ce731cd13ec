"""How long work tells of itself: a progress bar for people, JSON lines for programs."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedfin.command_line import standard_output
from fedfin.plain_text import plain_text, plain_value
from fedfin.protocol.convergence import METRICS, pooled_loss
from fedfin.utc import timestamp


class JsonLines:
    """Each event as one JSON object on a line: {"event": ..., "time": seconds since the epoch, ...}."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stream.flush()
        except OSError:
            standard_output.drop(self._stream)

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Write one event at once: who reads a pipe wants it now. What cannot be written is dropped."""
        with contextlib.suppress(OSError):
            print(json.dumps({"event": event, "time": time.time()} | facts), file=self._stream, flush=True)


class Lines:
    """Each event as a line for people: of what has no end, and so no bar."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """What cannot be written is dropped."""
        with contextlib.suppress(OSError):
            line = _line(event, facts)
            print(line if self._stream.isatty() else _logged(line), file=self._stream, flush=True)


class RoundBar:
    """Rounds done of rounds in all, with ETA; what goes wrong is printed above the bar."""

    LOUD = frozenset(
        {
            "connecting",
            "offline",
            "refused",
            "bad-message",
            "bad-model",
            "charter",
            "bad-manifest",
            "answered-before",
            "diverged",
            "declined",
            "left-out",
            "rolled-back",
            "outlier",
            "bad-dealing",
            "unlike",
            "withheld",
            "suppressed",
            "nothing-given",
            "labels",
            "stalled",
            "rewound",
            "twins",
            "barred",
            "throttled",
            "waiting",
            "finished",
        }
    )

    def __init__(self, console: Console, *, total: int | None, done: int = 0) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("rounds", total=total, completed=done, note="")

    def __enter__(self) -> "RoundBar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Move the bar, or print what needs attention."""
        if event == "joined":
            self._progress.update(self._task, total=facts["rounds"])
            self._print(_line(event, facts))
        elif event in ("closed", "received"):
            self._progress.advance(self._task)
            if not self._console.is_terminal:
                self._print(_line(event, _readable(facts) if event == "closed" else facts))
        elif event == "round":
            self._progress.update(self._task, note=f"{facts['task']} {facts.get('state', '')}")
        elif event == "update" and facts.get("accepted"):
            self._progress.update(self._task, note=f"update of {facts['site']}")
        elif event in self.LOUD or (event in {"update", "sum"} and not facts["accepted"]):
            self._print(_line(event, facts))

    def _print(self, line: str) -> None:
        """As it is, on one line: what came over the network is no markup, and logs are searched line by line.

        What cannot be written is dropped; rich ends the process at a closed pipe.
        """
        with contextlib.suppress(OSError, SystemExit):
            shown = line if self._console.is_terminal else _logged(line)
            self._console.print(shown, markup=False, soft_wrap=True)


# A log file wants a sign of life, not a line per batch.
QUIET_SECONDS = 15.0


class ProgressBar:
    """Steps of work on stderr: a bar with the time left on a terminal, otherwise a line now and then.

    A context manager; `update` may be called as often as one likes.
    """

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if not self._console.is_terminal:
            self._print(what, done, total)
            return
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done)

    def _print(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._printed >= QUIET_SECONDS:
            self._printed = now
            line = f"{what}: {done} of {total} after {now - self._started:.0f} s"
            print(line, file=self._console.file, flush=True)  # also where a library's own words are held back


def _readable(results: Mapping[str, Any]) -> dict[str, Any]:
    """A round's results for people: the sites' mean by that name, and one loss in place of what it is the least of."""
    names = {"cases": "cases per site"}
    shown = {names.get(name, name): value for name, value in results.items() if name not in METRICS}
    loss = pooled_loss(results)
    return shown if loss is None else shown | {"held-out loss": loss}


def _logged(line: str) -> str:
    """With its time, which a log needs; systemd's journal has its own, and says so by this variable."""
    return line if "JOURNAL_STREAM" in os.environ else f"{timestamp()} {line}"


def _line(event: str, facts: dict[str, Any]) -> str:
    """The event with what is known of it; an empty reason says nothing, one that is all there is needs no name."""
    known = {key: value for key, value in facts.items() if value != ""}
    if list(known) == ["reason"]:
        return f"{event}: {plain_value(known['reason'])}"
    words = ", ".join(f"{plain_text(key)} {plain_value(value)}" for key, value in known.items())
    return f"{event}: {words}" if words else event
