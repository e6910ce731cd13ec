"""Two folders of results, figure by figure, with a verdict in plain words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.costs.compute.timing import ratio
from benchmarks.costs.figures import Results

SAME = 0.02  # a change of bytes or multiply-adds that nobody needs to hear of


@dataclass(frozen=True)
class Line:
    """What changed, and what to think of it."""

    what: str
    verdict: str
    worse: bool


def compare(before: Results, after: Results) -> list[Line]:
    """Of what both have: seconds by their samples, all else by value."""
    return [*_times(before, after), *_counts(before, after)]


def _times(before: Results, after: Results) -> Iterator[Line]:
    old, new = (found.get("alone", {}) for found in (before, after))
    for name in [
        name for name in new if name in old and isinstance(new[name], dict) and "samples" in new[name]
    ]:
        yield Line(f"{new[name]['title']}, time", *_of_times(old[name]["samples"], new[name]["samples"]))


def _of_times(old: Sequence[float], new: Sequence[float]) -> tuple[str, bool]:
    """Outside noise where the middle 95 % of the ratio leaves out 1."""
    found = ratio(new, old)
    change = found.median - 1
    words = f"{abs(change):.0%} {'slower' if change > 0 else 'faster'}"
    if found.low <= 1 <= found.high:
        return f"{words}, within noise", False
    return f"{words}, outside noise", change > 0


def _counts(before: Results, after: Results) -> Iterator[Line]:
    """Multiply-adds and bytes are the same every time, but for a few acknowledgements."""
    old, new = dict(_numbers(before)), dict(_numbers(after))
    for what in [what for what in new if old.get(what)]:
        change = new[what] / old[what] - 1
        if abs(change) > SAME:
            yield Line(what, f"{abs(change):.0%} {'more' if change > 0 else 'less'}", change > 0)


def _numbers(results: Results) -> Iterator[tuple[str, float]]:
    for one in results.get("alone", {}).values():
        if isinstance(one, dict) and "samples" in one:
            yield f"{one['title']}, multiply-adds", one["multiply_adds"]
    for case, one in results.get("wire", {}).items():
        for label, task in _tasks(one):
            for way in ("up", "down"):
                yield f"{case}, {label}, payload {way}", task["mean"][way]["payload"]


def _tasks(one: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(one, dict) and "tasks" in one:
        yield from one["tasks"].items()
