"""Whether the default method does harm, by rule, or more modalities do; what it gains; and what did not work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.study.patterns import ALONE, COMPLETE
from benchmarks.study.roles import BOUNDS, HARMLESS_TO, TOLERANCE, WITH_PUBLIC, ZERO_FILL, harmless_to
from benchmarks.study.scores import Column, Mean, Scores, mean


@dataclass(frozen=True)
class Harm:
    """The default is `difference` AUC x 100 above a rival (negative: below). clear: beyond seed noise."""

    data: str
    setting: str
    view: str
    rival: str
    difference: float
    noise: float
    seeds: int
    clear: bool

    @property
    def column(self) -> Column:
        """Where."""
        return Column(self.data, self.setting, self.view)


@dataclass(frozen=True)
class Gain:
    """Of the default over a method, averaged over all columns of a data set that both have."""

    data: str
    method: str
    difference: float
    noise: float
    columns: int
    seeds: int


@dataclass(frozen=True)
class Lead:
    """Of the default over the best rival of each column, averaged over so many columns; of data "" over all.

    The best of many is partly lucky: where all are equal, the lead is below zero. ahead: columns where it is above.
    """

    data: str
    difference: float
    columns: int
    ahead: int


@dataclass(frozen=True)
class Failure:
    """A method that is below zero-fill in the average over a data set's columns, beyond seed noise."""

    data: str
    method: str
    difference: float
    noise: float
    worst: float
    worst_setting: str
    worst_view: str


@dataclass(frozen=True)
class Excess:
    """The default answers complete cases `difference` AUC x 100 above (negative: below) `part` of them alone."""

    data: str
    setting: str
    part: str
    difference: float
    noise: float
    seeds: int
    clear: bool


@dataclass(frozen=True)
class Verdict:
    """What the rules say of the default.

    compared: pairs with what is not to be harmed, in so many columns; all_columns: those that the default has; seeds:
    the least that a pair has; absent: of what is not to be harmed; harms: where the default is more than the tolerance
    below, the clear ones first; behind: the same of every method that is no upper bound and of equal data, the clear
    ones alone; leads: over the best of these methods, by data set and over all; parts: where complete cases are
    answered worse than with one of their modalities alone, by the default itself, the clear ones first;
    parts_compared: so many pairs were looked at for that.
    """

    default: str
    compared: int
    columns: int
    seeds: int
    absent: list[str]
    harms: list[Harm]
    behind: list[Harm]
    gains: list[Gain]
    leads: list[Lead]
    all_columns: int
    parts: list[Excess]
    parts_compared: int

    @property
    def violations(self) -> list[Harm]:
        """Those that no seed noise explains."""
        return [harm for harm in self.harms if harm.clear]

    @property
    def clear_parts(self) -> list[Excess]:
        """Complete below a part of it, where no seed noise explains it."""
        return [excess for excess in self.parts if excess.clear]


def judge(scores: Scores) -> Verdict:
    """The rule of "no harm": more than TOLERANCE below, and the difference beyond its own noise.

    With a single seed nothing is known of noise, and every such difference is clear.
    """
    pairs = [pair for pair in _pairs(scores) if pair is not None]
    harms = [pair for pair in pairs if pair.difference < -TOLERANCE]
    parts, rivals = list(_parts(scores)), list(_against_rivals(scores))
    present = set(scores.methods)
    absent = [words for words, names in HARMLESS_TO.items() if not present & set(names)]
    if scores.default not in present:
        absent.insert(0, scores.default)
    return Verdict(
        scores.default,
        len(pairs),
        len({pair.column for pair in pairs}),
        min((pair.seeds for pair in pairs), default=0),
        absent,
        sorted(harms, key=lambda harm: (not harm.clear, harm.difference)),
        sorted(_behind(rivals), key=lambda harm: harm.difference),
        gains(scores),
        _leads(rivals),
        len([column for column in scores.columns if scores.auc(column, scores.default)]),
        sorted(
            (part for part in parts if part.difference < -TOLERANCE),
            key=lambda part: (not part.clear, part.difference),
        ),
        len(parts),
    )


def harmed_only_in(one: Verdict, other: Verdict) -> list[Harm]:
    """The violations in columns that have none in the other verdict."""
    columns = {harm.column for harm in other.violations}
    return [harm for harm in one.violations if harm.column not in columns]


def _pairs(scores: Scores) -> Iterator[Harm | None]:
    for column in scores.columns:
        for rival in harmless_to():
            if rival != scores.default:
                yield _harm(column, rival, mean(scores.differences(column, scores.default, rival)))


def _parts(scores: Scores) -> Iterator[Excess]:
    """The same cases, of which the default sees all or one modality alone; seed by seed."""
    for column in scores.columns:
        whole = Column(column.data, column.setting, COMPLETE)
        if column.view.startswith(ALONE):
            found = mean(scores.between(whole, column, scores.default))
            if found is not None:
                clear, noise = _clear(found)
                yield Excess(column.data, column.setting, column.view, found.value, noise, found.seeds, clear)


def _clear(found: Mean) -> tuple[bool, float]:
    """Whether a lower value is beyond its noise, and that; of one seed nothing is known of noise."""
    return (True, 0.0) if found.seeds == 1 else (-found.value > found.noise, found.noise)


def _against_rivals(scores: Scores) -> Iterator[Harm]:
    """The default beside every method of equal data that is no upper bound, column by column."""
    rivals = set(scores.methods) - {scores.default, *BOUNDS, *WITH_PUBLIC.values()}
    for column in scores.columns:
        for rival in sorted(rivals):
            equal = scores.differences(column, WITH_PUBLIC.get(rival, scores.default), rival)
            # Where the default was not run with the public cases, the unequal comparison is better than none.
            found = _harm(column, rival, mean(equal or scores.differences(column, scores.default, rival)))
            if found is not None:
                yield found


def _behind(rivals: Sequence[Harm]) -> list[Harm]:
    return [rival for rival in rivals if rival.clear and rival.difference < -TOLERANCE]


def _leads(rivals: Sequence[Harm]) -> list[Lead]:
    """By data set, and over all of several."""
    least: dict[Column, float] = {}
    for rival in rivals:
        least[rival.column] = min(rival.difference, least.get(rival.column, rival.difference))
    data = dict.fromkeys(column.data for column in least)
    of_data = [_lead(name, [d for column, d in least.items() if column.data == name]) for name in data]
    return [*of_data, _lead("", list(least.values()))] if len(of_data) > 1 else of_data


def _lead(data: str, differences: Sequence[float]) -> Lead:
    return Lead(data, fmean(differences), len(differences), sum(d > 0 for d in differences))


def _harm(column: Column, rival: str, found: Mean | None) -> Harm | None:
    if found is None:
        return None
    clear, noise = _clear(found)
    return Harm(column.data, column.setting, column.view, rival, found.value, noise, found.seeds, clear)


def gains(scores: Scores) -> list[Gain]:
    """Over every other method, by data set."""
    found = []
    for data in scores.data:
        columns = [column for column in scores.columns if column.data == data]
        for method in scores.methods:
            average = mean(scores.average_difference(columns, scores.default, method))
            if average is not None and method != scores.default:
                both = sum(bool(scores.differences(c, scores.default, method)) for c in columns)
                noise = 0.0 if average.seeds == 1 else average.noise
                found.append(Gain(data, method, average.value, noise, both, average.seeds))
    return found


def failures(scores: Scores) -> list[Failure]:
    """Methods and ablations that would have done better to fill in zeros, by data set, the worst first."""
    found = []
    for data in scores.data:
        columns = [column for column in scores.columns if column.data == data]
        names = dict.fromkeys(row["method"] for row in scores.rows if row["data"] == data)
        for method in names:
            average = mean(scores.average_difference(columns, method, ZERO_FILL))
            if method in (ZERO_FILL, *BOUNDS) or average is None:
                continue
            if -average.value > (0.0 if average.seeds == 1 else average.noise):
                found.append(_failure(scores, columns, method, average))
    return sorted(found, key=lambda failure: failure.difference)


def _failure(scores: Scores, columns: list[Column], method: str, average: Mean) -> Failure:
    by_column = {c: mean(scores.differences(c, method, ZERO_FILL)) for c in columns}
    worst, where = min((m.value, i) for i, m in enumerate(by_column.values()) if m is not None)
    column = columns[where]
    noise = 0.0 if average.seeds == 1 else average.noise
    return Failure(column.data, method, average.value, noise, worst, column.setting, column.view)
