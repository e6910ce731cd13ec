"""Progress on stderr: a bar with the time left on a terminal, otherwise a line now and then."""

import sys
import time
from types import TracebackType

# A log file wants a sign of life, not a line per batch.
QUIET_SECONDS = 15.0


class ProgressBar:
    """A context manager; `update` may be called as often as one likes."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(file=sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._tasks: dict[str, object] = {}
        self._started = self._said = time.monotonic()

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if not self._console.is_terminal:
            self._say(what, done, total)
            return
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done)  # type: ignore[arg-type]  # rich's TaskID

    def _say(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= QUIET_SECONDS:
            self._said = now
            print(f"{what}: {done} of {total} after {now - self._started:.0f} s", file=sys.stderr, flush=True)
