"""The tables of docs/leakage.md, from what was measured."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.leakage.differencing import Recovered
from benchmarks.leakage.measure import CALIBRATING, EVERYTHING, STRONG, WEAK, Cell
from benchmarks.leakage.people import WHOLE

TRAINED_ON = (
    "moments",
    "second moments",
    "train delta",
    "last train delta",
    "all train deltas",
    "final model",
)
HELD_OUT = (
    "calibrate",
    "evaluate",
    CALIBRATING,
)  # of other patients: those who calibrate the model, and who judge it
MEMBERSHIP = (EVERYTHING, *TRAINED_ON, *HELD_OUT)
OTHERS = {"records found": ("records found", "records by chance"), "label of a known member": ("label",)}
SUM = ("level", "sites in the sum", "patients a site")
DEFAULT = (10, 72, 16)  # sites, patients of each, dimensions
BEFORE = ("open", 1, 72, WHOLE)  # as everything was before: a site's own updates, in all dimensions
BY_ROUNDS = ("all train deltas", "final model", EVERYTHING)


def mean_over_seeds(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each level, sites, patients and dimensions, in that order."""
    found: dict[tuple[str, int, int, int], list[Mapping[str, float]]] = defaultdict(list)
    for cell in cells:
        found[cell.level, cell.sites, cell.patients, cell.dims].append(cell.scores)
    return [Cell(*key, {name: _mean(scores, name) for name in scores[0]}) for key, scores in found.items()]


def first_of_each(cells: Iterable[Cell]) -> list[Cell]:
    """Without what an earlier cell says of the same level, sites, patients and dimensions."""
    found: dict[tuple[str, int, int, int], Cell] = {}
    for cell in cells:
        found.setdefault((cell.level, cell.sites, cell.patients, cell.dims), cell)
    return list(found.values())


def tables(cells: Sequence[Cell]) -> dict[str, list[list[str]]]:
    """By title: rows, the first of them the header; a column for each number of dimensions."""
    titles = {f"membership from {attack}": _pair(attack) for attack in MEMBERSHIP} | OTHERS
    return {title: _rows(cells, names) for title, names in titles.items()}


def default_table(cells: Sequence[Cell]) -> list[list[str]]:
    """What each attack tells of the default plan at each level, beside before: rows, the first of them the header."""
    found = {(cell.level, cell.sites, cell.patients, cell.dims): cell.scores for cell in cells}
    levels = dict.fromkeys(cell.level for cell in cells if (cell.sites, cell.patients, cell.dims) == DEFAULT)
    keys = {"before": BEFORE} | {level: (level, *DEFAULT) for level in levels}
    columns = {name: found.get(key) for name, key in keys.items()}
    names = {f"membership from {attack}": _pair(attack) for attack in MEMBERSHIP} | OTHERS
    return [
        ["attack", *columns],
        *([title, *(_cell(scores, pair) for scores in columns.values())] for title, pair in names.items()),
    ]


def rounds_table(reports: Mapping[int, Sequence[Cell]]) -> list[list[str]]:
    """Of the default plan at `secure`, by rounds of training: rows, the first of them the header."""
    rows = [["rounds", *BY_ROUNDS]]
    for rounds, cells in sorted(reports.items()):
        scores = [c.scores for c in cells if (c.level, c.sites, c.patients, c.dims) == ("secure", *DEFAULT)]
        rows += [[str(rounds), *(_cell(one, _pair(name)) for name in BY_ROUNDS)] for one in scores[:1]]
    return rows


def single_table(recovered: Sequence[Recovered]) -> list[list[str]]:
    """What shows one patient, by level: rows, the first of them the header."""
    levels = list(dict.fromkeys(one.level for one in recovered))
    found = {(one.attack, one.level): _outcome(one) for one in recovered}
    attacks = dict.fromkeys(one.attack for one in recovered)
    return [
        ["what shows one patient", *levels],
        *([a, *(found[a, level] for level in levels)] for a in attacks),
    ]


def _outcome(one: Recovered) -> str:
    if one.refused:
        return "refused"
    return "recovered" if one.recovered else "no"


def _rows(cells: Sequence[Cell], names: Sequence[str]) -> list[list[str]]:
    found = {
        (cell.level, cell.sites, cell.patients, cell.dims): cell.scores
        for cell in cells
        if set(names) <= cell.scores.keys()
    }
    dims, levels = sorted({key[3] for key in found}), list(dict.fromkeys(key[0] for key in found))
    sums = sorted({key[:3] for key in found}, key=lambda key: (levels.index(key[0]), key))
    rows = [[*SUM, *(f"{one:,}" for one in dims)]]
    for level, sites, patients in sums:
        scores = [found.get((level, sites, patients, one)) for one in dims]
        rows.append([level, str(sites), str(patients), *(_cell(one, names) for one in scores)])
    return rows


def _cell(scores: Mapping[str, float] | None, names: Sequence[str]) -> str:
    """What was not attacked has a dash."""
    if scores is None or not set(names) <= scores.keys():
        return "-"
    return " / ".join(f"{scores[name]:.2f}".replace("0.", ".") for name in names)


def _pair(attack: str) -> tuple[str, str]:
    return f"{attack}, {WEAK}", f"{attack}, {STRONG}"


def _mean(scores: Sequence[Mapping[str, float]], name: str) -> float:
    return round(float(np.mean([one[name] for one in scores])), 4)
