"""How far an export is, for who waits: a minute for a small encoder, many for a large one with many cases."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

# (what is done, steps done, steps in all)
Progress = Callable[[str, int, int], None]
Item = TypeVar("Item")


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def counted(what: str, items: Sequence[Item], progress: Progress) -> Iterator[Item]:
    """The items; each counts when the next is asked for, as it is done then."""
    progress(what, 0, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        progress(what, done, len(items))
