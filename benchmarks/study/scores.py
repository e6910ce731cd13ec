"""A study's rows, put in order: by data set, setting, method, kind of test case and seed.

Where a file has several rows of one name and seed, as after a method was changed, the last one counts.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.rows import Row
from benchmarks.study.patterns import COMPLETE, HALF, RECORDED
from benchmarks.study.roles import BOUNDS, DEFAULT, NOISE

BySeed = Mapping[int, float]
ABLATED = "/"  # parts a method's name from the key that was changed


@dataclass(frozen=True)
class Mean:
    """Over seeds. spread: the sample deviation, 0 for one seed; noise: of the mean, infinite for one seed."""

    value: float
    spread: float
    noise: float
    seeds: int


@dataclass(frozen=True)
class Column:
    """What a number of AUC is of: one kind of test case in one setting of a data set."""

    data: str
    setting: str
    view: str


class Scores:
    """`rows`: those that count; `failed`, `skipped`: those of runs that failed, or that a method is not for."""

    def __init__(self, rows: Sequence[Row], default: str = DEFAULT) -> None:
        last = {_identity(row): row for row in sorted(rows, key=lambda row: "views" in row)}
        self.default = default
        self.rows = [row for row in last.values() if "views" in row]
        self.skipped = [row for row in last.values() if "skipped" in row]
        self.failed = [row for row in last.values() if "error" in row]
        self.replaced = len(rows) - len(last)
        self._auc: dict[tuple[Column, str], dict[int, float]] = {}
        for row in self.rows:
            for view, figures in row["views"].items():
                if figures["auc"] is not None:
                    column = Column(row["data"], row["setting"], view)
                    self._auc.setdefault((column, row["method"]), {})[row["seed"]] = figures["auc"]

    @cached_property
    def data(self) -> list[str]:
        """In the order in which they came."""
        return _unique(row["data"] for row in self.rows)

    def settings(self, data: str) -> list[str]:
        """Of a data set, in the order in which they came."""
        return _unique(row["setting"] for row in self.rows if row["data"] == data)

    @cached_property
    def methods(self) -> list[str]:
        """All but ablations: the default first, upper bounds last."""
        names = _unique(row["method"] for row in self.rows if ABLATED not in row["method"])
        return sorted(names, key=lambda name: (name != self.default, name in BOUNDS))

    def views(self, data: str) -> list[str]:
        """Complete cases first, half missing last."""
        views = _unique(view for row in self.rows if row["data"] == data for view in row["views"])
        return sorted(views, key=lambda view: (view not in (COMPLETE, RECORDED), view == HALF))

    @cached_property
    def columns(self) -> list[Column]:
        """All of them, data set by data set."""
        return [
            Column(data, setting, view)
            for data in self.data
            for setting in self.settings(data)
            for view in self.views(data)
        ]

    def auc(self, column: Column, method: str) -> BySeed:
        """AUC x 100 by seed; empty where nothing was run."""
        return self._auc.get((column, method), {})

    def differences(self, column: Column, method: str, to: str) -> BySeed:
        """`method` less `to`, of the seeds that both have."""
        one, other = self.auc(column, method), self.auc(column, to)
        return {seed: one[seed] - other[seed] for seed in one if seed in other}

    def between(self, column: Column, other: Column, method: str) -> BySeed:
        """The method in one column less the same in another, of the seeds that both have."""
        one, less = self.auc(column, method), self.auc(other, method)
        return {seed: one[seed] - less[seed] for seed in one if seed in less}

    def average_difference(self, columns: Iterable[Column], method: str, to: str) -> BySeed:
        """The mean over the columns that both have, of the seeds that have all of these columns."""
        found = [self.differences(column, method, to) for column in columns]
        found = [by_seed for by_seed in found if by_seed]
        seeds = set.intersection(*(set(by_seed) for by_seed in found)) if found else set()
        return {seed: statistics.fmean(by_seed[seed] for by_seed in found) for seed in sorted(seeds)}


def mean(by_seed: BySeed) -> Mean | None:
    """None of nothing."""
    values = list(by_seed.values())
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    noise = NOISE * spread / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Mean(statistics.fmean(values), spread, noise, len(values))


def kinds(views: Sequence[str]) -> dict[str, list[str]]:
    """Views under the headings of a table: with many modalities, those alone together, and those missing."""
    if len(views) <= 4:
        return {view: [view] for view in views}
    found: dict[str, list[str]] = {}
    for view in views:
        heading = {"only": "one alone", "without": "one missing"}.get(view.partition(" ")[0], view)
        found.setdefault(heading, []).append(view)
    return found


def average(by_view: Sequence[BySeed]) -> BySeed:
    """The mean over several views, of the seeds that all have; empty where one has nothing."""
    seeds = set.intersection(*(set(by_seed) for by_seed in by_view)) if by_view else set()
    return {seed: statistics.fmean(by_seed[seed] for by_seed in by_view) for seed in sorted(seeds)}


def _identity(row: Row) -> tuple[object, ...]:
    return tuple(row[key] for key in ("data", "setting", "method", "seed"))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
