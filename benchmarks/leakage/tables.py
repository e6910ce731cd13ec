"""The tables of docs/leakage.md, from what was measured."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.leakage.differencing import Recovered
from benchmarks.leakage.measure import STRONG, WEAK, Cell

MEMBERSHIP = (
    "moments",
    "second moments",
    "train delta",
    "last train delta",
    "all train deltas",
    "final model",
)
OTHERS = {"records found": ("records found", "records by chance"), "label of a known member": ("label",)}
SUM = ("level", "sites in the sum", "patients a site")


def mean_over_seeds(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each level, sites, patients and dimensions, in that order."""
    found: dict[tuple[str, int, int, int], list[Mapping[str, float]]] = defaultdict(list)
    for cell in cells:
        found[cell.level, cell.sites, cell.patients, cell.dims].append(cell.scores)
    return [Cell(*key, {name: _mean(scores, name) for name in scores[0]}) for key, scores in found.items()]


def tables(cells: Sequence[Cell]) -> dict[str, list[list[str]]]:
    """By title: rows, the first of them the header; a column for each number of dimensions."""
    titles = {f"membership from {attack}": _pair(attack) for attack in MEMBERSHIP} | OTHERS
    return {title: _rows(cells, names) for title, names in titles.items()}


def single_table(recovered: Sequence[Recovered]) -> list[list[str]]:
    """What shows one patient, by level: rows, the first of them the header."""
    levels = list(dict.fromkeys(one.level for one in recovered))
    found = {(one.attack, one.level): "recovered" if one.recovered else "no" for one in recovered}
    attacks = dict.fromkeys(one.attack for one in recovered)
    return [
        ["what shows one patient", *levels],
        *([a, *(found[a, level] for level in levels)] for a in attacks),
    ]


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
    if scores is None:
        return "-"
    return " / ".join(f"{scores[name]:.2f}".replace("0.", ".") for name in names)


def _pair(attack: str) -> tuple[str, str]:
    return f"{attack}, {WEAK}", f"{attack}, {STRONG}"


def _mean(scores: Sequence[Mapping[str, float]], name: str) -> float:
    return round(float(np.mean([one[name] for one in scores])), 4)
