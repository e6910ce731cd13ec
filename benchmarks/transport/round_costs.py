"""What each round costs each process: the CPU time that it took until the round was closed."""

import contextlib
from collections.abc import Mapping, Sequence

from benchmarks.transport.process_costs import cpu_seconds


class RoundCosts:
    """Of processes by name; several of one name count together."""

    def __init__(self) -> None:
        self._processes: dict[str, list[int]] = {}
        self._closed: dict[int, dict[str, float]] = {}  # CPU seconds until then, by round and name

    def watch(self, name: str, pids: Sequence[int]) -> None:
        """From now on these count, too."""
        self._processes.setdefault(name, []).extend(pids)

    def close(self, round_: int) -> None:
        """A round is closed; 0: the first one opens."""
        self._closed[round_] = {name: _taken(pids) for name, pids in self._processes.items()}

    def of(self, round_: int) -> Mapping[str, float]:
        """CPU seconds of a round, by name."""
        before, after = self._closed.get(round_ - 1, {}), self._closed.get(round_, {})
        return {name: round(after[name] - before[name], 2) for name in after if name in before}


def _taken(pids: Sequence[int]) -> float:
    """CPU seconds so far; of those that have ended nothing."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += cpu_seconds(pid)
    return total
