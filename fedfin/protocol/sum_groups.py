"""Disjoint groups of sites whose secure sums of a round of training are opened apart, so that they can be compared.

Masks are agreed on within a group and vanish in its sum; all else of an attempt is the cohort's. The sites of the run's
first sum are dealt into groups, which stay as they are: a group is in a round whole, or not at all. So any two sums of
training that are opened are over the same sites, or have none in common.
"""

from collections.abc import Collection, Iterable, Sequence

from fedfin.limits import LEAST_GROUPS, LEAST_SUMMED
from fedfin.plan import Plan
from fedfin.protocol.schedule import task_of

Groups = tuple[tuple[str, ...], ...]

NO_GROUPS = (
    f"of the groups into which the sites of the first sum were dealt fewer than {LEAST_GROUPS} are there whole; no sum"
    " was made"
)


def most_groups(plan: Plan, round_: int) -> int:
    """Into how many groups the cohort of this round falls at most; 0: it makes one sum."""
    return (plan.privacy.groups or 0) if task_of(plan, round_) == "train" else 0


def deal(names: Sequence[str], most: int) -> Groups:
    """Sorted names by turns; fewer groups than `most` where these would be of fewer than three sites."""
    count = min(most, len(names) // LEAST_SUMMED)
    return tuple(tuple(names[place::count]) for place in range(count))


def whole(groups: Groups, names: Collection[str]) -> Groups:
    """Those of which no site is missing among the names; none where these are too few to have a middle."""
    kept = tuple(group for group in groups if set(group) <= set(names))
    return kept if len(kept) >= LEAST_GROUPS else ()


def members(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """All of them, sorted."""
    return tuple(sorted(name for group in groups for name in group))
