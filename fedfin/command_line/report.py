"""How long work tells of itself: a progress bar for people, JSON lines for programs."""

import json
import time
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class JsonLines:
    """Each event as one JSON object on a line: {"event": ..., "time": seconds since the epoch, ...}."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Write one event at once: who reads a pipe wants it now."""
        print(json.dumps({"event": event, "time": time.time()} | facts), file=self._stream, flush=True)


class RoundBar:
    """Rounds done of rounds in all, with ETA; what goes wrong is printed above the bar."""

    LOUD = frozenset(
        {"connecting", "offline", "refused", "bad-message", "bad-model", "diverged", "stalled", "waiting"}
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
            TextColumn("{task.fields[note]}"),
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
        elif event == "closed":
            self._progress.advance(self._task)
            if not self._console.is_terminal:
                self._console.print(_line(event, facts))
        elif event == "round":
            self._progress.update(self._task, note=f"{facts['task']} {facts.get('state', '')}")
        elif event == "update" and facts.get("accepted"):
            self._progress.update(self._task, note=f"update of {facts['site']}")
        elif event in self.LOUD or event == "update":
            self._console.print(_line(event, facts))


def _line(event: str, facts: dict[str, Any]) -> str:
    words = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    ]
    return f"{event}: " + ", ".join(words)
