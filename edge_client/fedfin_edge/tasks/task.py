"""What every task of a round has in common: its result, and how it talks to its caller."""

from collections.abc import Callable
from dataclasses import dataclass

from fedfin.codec import Tensors


class TaskStoppedError(Exception):
    """The caller's `stop` said so; nothing of the task remains."""


@dataclass(frozen=True)
class TaskResult:
    """What a site sends for a round, and what it may show.

    deltas: tensors by name ("train": to be added; else values); weights: the cases behind each.
    contradicts: for this site's people alone, the AUC of a model that its own labels contradict (label_check.py).
    """

    deltas: Tensors
    weights: dict[str, int]
    metrics: dict[str, float]
    contradicts: float | None = None


@dataclass(frozen=True)
class Control:
    """How a task talks to its caller: `progress` is given the share done, 0 to 1; `stop` is asked between batches."""

    progress: Callable[[float], None]
    stop: Callable[[], bool]

    def tick(self, share: float) -> None:
        """One batch is done. Raises TaskStoppedError."""
        self.progress(share)
        if self.stop():
            raise TaskStoppedError
