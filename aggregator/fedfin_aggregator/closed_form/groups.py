"""Sites are pooled in groups: penalties are cross-validated over them, and no site's own moments are kept."""

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from fedfin.codec import Shape
from fedfin.model.second_moment_spec import OTHER_HALF, second_moment_shapes
from fedfin.plan import Plan
from fedfin_aggregator.closed_form.pooled_moments import Sums
from fedfin_aggregator.fold.fold import Sum

# Memory is that many times a site's moments. Two sites share a group one time in eight, their halves one in four: then
# either half of both judges the other.
GROUPS = 8
_T = TypeVar("_T")


def group_of(site: str) -> int:
    """The same at every aggregator and shard."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big") % GROUPS


def grouped(values: Mapping[str, _T], site: str) -> dict[str, _T]:
    """A site's tensors, or their weights, under its groups' names: the only names of a fold with a slash.

    What the second half of its complete cases tells goes into another group, so that either half judges the other.
    """
    first = group_of(site)
    second = (first + GROUPS // 2) % GROUPS
    return {
        f"{second if name.startswith(OTHER_HALF) else first}/{name.removeprefix(OTHER_HALF)}": value
        for name, value in values.items()
    }


def plain_name(name: str) -> str:
    """A tensor's, whatever group or half it is of."""
    return name.rpartition("/")[2].removeprefix(OTHER_HALF)


def plain_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """How many cases stand behind each tensor in all groups and halves together."""
    total: dict[str, int] = {}
    for name, weight in weights.items():
        total[plain_name(name)] = total.get(plain_name(name), 0) + weight
    return total


def is_grouped(name: str) -> bool:
    """Whether it is one of these."""
    return "/" in name


def group_shapes(plan: Plan) -> dict[str, Shape]:
    """The shapes of all groups' tensors."""
    shapes = second_moment_shapes(plan)
    return {f"{group}/{name}": shape for group in range(GROUPS) for name, shape in shapes.items()}


def by_group(sums: Mapping[str, Sum]) -> list[Sums]:
    """What each group that has anything has, under the plain names; in the groups' order."""
    groups: dict[int, dict[str, Sum]] = {}
    for name, sum_ in sums.items():
        group, _, plain = name.partition("/")
        groups.setdefault(int(group), {})[plain] = sum_
    return [groups[group] for group in sorted(groups)]
