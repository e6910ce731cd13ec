"""What few dimensions cost and what they hide: the tables of docs/dimensions.md.

    python -m benchmarks.dimensions [RESULTS] [--by-data | --drafted | --leakage]

RESULTS: of `fedfin study run dimensions`: how far each number of dimensions is from all of them in AUC x 100, in the
mean over columns (data, setting, what is shown), and in the worst of them, with a site's bytes up; `--drafted`: of
`fedfin study run frontier`, by data set, in as many columns as `aggregator draft` allows its complete training cases,
as far as these were measured; `--leakage`: what second moments of these cases tell in each number of columns. Without
RESULTS how well membership is told from summed second moments, by patients and dimensions, for features that are
jointly normal: by who sees one sum, the sums of two halves, or one sum and knows the population's; then what
`aggregator draft` allows.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row, read_rows
from benchmarks.study.grid import COMMAND
from fedfin.privacy.dimensions import columns_for

ALL = "fedfin"
PATIENTS = (72, 144, 300, 720, 3000)
DIMENSIONS = (8, 16, 32, 64, 128, 256)
SECURE, SECURE_NO_FLOORS = (
    f"fedfin/{level}/principal/modality/{{columns}}/1" for level in ("secure", "secure, no floors")
)
NAMES = {"covid-public": "covid-cxr"}  # its axes are of other public cases, its cases the same
TRIES = 5
TINY = 1e-12

Floats = NDArray[np.float64]
Column = tuple[str, str, str]


def columns(rows: Iterable[Row]) -> dict[str, dict[Column, float]]:
    """Method -> column -> AUC x 100 less that of all dimensions, in the mean over the seeds that both have."""
    found = {(row["method"], row["data"], row["setting"], row["seed"]): row for row in rows if "views" in row}
    gains: dict[str, dict[Column, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (method, data, setting, seed), row in found.items():
        if base := found.get((ALL, data, setting, seed)):
            for view, figures in row["views"].items():
                gains[method][data, setting, view].append(figures["auc"] - base["views"][view]["auc"])
    return {method: {column: fmean(gs) for column, gs in of.items()} for method, of in gains.items()}


def frontier(rows: list[Row], *, by_data: bool) -> Table:
    """A line for each method: mean and worst column, and kilobytes up."""
    gains = columns(rows)
    data = sorted({row["data"] for row in rows})
    names = [NAMES.get(name, name) for name in data if by_data]
    table = Table("method", "columns", "mean", "worst", *names, "kB up")
    for method in sorted(gains, key=_order):
        of = gains[method]
        parts = [_of_data(of, name) for name in data if by_data]
        up = fmean(row["up"] for row in rows if row["method"] == method and "up" in row)
        table.add_row(
            method, str(len(of)), f"{_mean(of.values()):+.2f}", f"{min(of.values()):+.2f}",
            *parts, f"{up / 1000:,.0f}",
        )  # fmt: skip
    return table


def at_drafted(rows: list[Row]) -> list[list[str]]:
    """By data set: complete training cases, columns that these allow each modality, and what the nearest ones cost.

    The first row is the header.
    """
    known = [row for row in rows if "complete" in row]
    modalities = {row["data"]: len(row["modalities"]) for row in known}
    gains, found = (
        columns(rows),
        [["data", "complete", "drafted", "columns", "mean", "worst column", "floors: none"]],
    )
    for data in sorted(modalities):
        cases = fmean(row["complete"] for row in known if row["data"] == data)
        each = columns_for([int(cases)] * modalities[data], int(cases))[0]
        costs = {measured: _cost(gains, measured, data) for measured in _around(each)}
        found += [
            [NAMES.get(data, data), f"{cases:.0f}", str(each), str(n), *cost]
            for n, cost in costs.items()
            if cost
        ]
    return found


def _cost(gains: dict[str, dict[Column, float]], measured: int, data: str) -> list[str]:
    """Mean, worst column, and both without floors; nothing where these columns were not measured."""
    of = {
        column: gain for column, gain in gains[SECURE.format(columns=measured)].items() if column[0] == data
    }
    if not of:
        return []
    (_, setting, view), gain = min(of.items(), key=lambda item: item[1])
    worst = f"{gain:+.1f}: {setting.partition(' ')[0]}, {view}"
    without = _of_data(gains[SECURE_NO_FLOORS.format(columns=measured)], data)
    return [f"{_mean(of.values()):+.2f}", worst, without]


def leakage(rows: list[Row], columns_of_each: Sequence[int] = DIMENSIONS) -> list[list[str]]:
    """By columns of each modality: how well members of the sum of each data set's complete training cases are told.

    In as many dimensions as all modalities have together, the best of `attack`. The first row is the header.
    """
    known = [row for row in rows if "complete" in row]
    cases = {
        data: round(fmean(row["complete"] for row in known if row["data"] == data))
        for data in sorted({row["data"] for row in known})
    }
    widths = {row["data"]: row["modalities"].values() for row in known}
    found = [["columns of each", *(f"{NAMES.get(data, data)}, {count}" for data, count in cases.items())]]
    for each in columns_of_each:
        dims = {data: sum(min(each, width) for width in widths[data]) for data in cases}
        found.append([str(each), *(_cell(attack(cases[data], dims[data]), dims[data]) for data in cases)])
    return found


def _cell(found: tuple[float, float, float], dims: int) -> str:
    best = max(max(auc, 1 - auc) for auc in found)  # below .5 tells as much
    return f"{dims}: {best:.2f}".replace(" 0.", " .")


def _around(each: int) -> list[int]:
    """The numbers of columns that were measured, next to this one."""
    return sorted({max(d for d in DIMENSIONS if d <= each), min(d for d in DIMENSIONS if d >= each)})


def _of_data(gains: dict[Column, float], data: str) -> str:
    """Mean and worst column of a data set; nothing where the method has none of it."""
    found = [gain for column, gain in gains.items() if column[0] == data]
    return f"{fmean(found):+.2f} ({min(found):+.1f})" if found else ""


def _order(method: str) -> tuple[str, int, float]:
    """By kind, then by number, `all` last."""
    kind, _, numbers = method.rpartition("/")
    kind, _, dims = kind.rpartition("/")
    return (kind, 1 << 16 if dims == "all" else int(dims), float(numbers)) if kind else ("", 0, 0.0)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else float("nan")


def membership() -> Table:
    """AUC by which members are told from others: by one sum, by two halves' sums, by a sum and the population's."""
    table = Table("patients", *(f"{dims} dimensions" for dims in DIMENSIONS), "drafted")
    for patients in PATIENTS:
        (drafted,) = columns_for([patients], patients)
        cells = [attack(patients, dims) for dims in (*DIMENSIONS, drafted)]
        shown = [" / ".join(f"{auc:.2f}" for auc in cell) for cell in cells]
        table.add_row(f"{patients:,}", *shown[:-1], f"{drafted}: {shown[-1]}")
    return table


def attack(patients: int, dims: int) -> tuple[float, float, float]:
    """The three numbers of a cell, in the mean over draws."""
    found = np.mean([_attack(patients, dims, seed) for seed in range(TRIES)], axis=0)
    one, halves, reference = found.tolist()
    return one, halves, reference


def _attack(patients: int, dims: int, seed: int) -> tuple[float, float, float]:
    """Members stand out less by their sum; less by their half than by the other; or are as it differs from all."""
    rng = np.random.default_rng([patients, dims, seed])
    members, others = rng.standard_normal((2, patients, dims))
    moments = members.T @ members / patients
    by_sum = np.linalg.pinv(moments, hermitian=True)
    by_reference = np.eye(dims) - moments
    one, reference = (membership_auc(members, others, form) for form in (by_sum, by_reference))
    return one, _by_halves(members, others), reference


def _by_halves(members: Floats, others: Floats) -> float:
    """As with secure sums, where halves stand apart: how unlike a case's distances by the two are."""
    forms = [np.linalg.pinv(half.T @ half / len(half), hermitian=True) for half in np.array_split(members, 2)]
    scores = []
    for cases in (others, members):
        one, other = (np.einsum("nd,de,ne->n", cases, form, cases) for form in forms)
        scores.append(-np.abs(np.log(np.maximum(one, TINY) / np.maximum(other, TINY))))
    return _auc(*scores)


def membership_auc(members: Floats, others: Floats, form: Floats) -> float:
    """AUC of the quadratic form, lower for members."""
    return _auc(*(np.einsum("nd,de,ne->n", cases, form, cases) for cases in (others, members)))


def _auc(others: Floats, members: Floats) -> float:
    """How often another's score is above a member's."""
    ranks = np.argsort(np.argsort(np.concatenate([others, members])))[: len(others)]
    return float((ranks.sum() - len(others) * (len(others) - 1) / 2) / (len(others) * len(members)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, help="of `fedfin study run dimensions`")
    parser.add_argument(
        "--by-data", action="store_true", help="also the mean and the worst column of each data set"
    )
    parser.add_argument(
        "--drafted", action="store_true", help="what secure costs in as many columns as are drafted"
    )
    parser.add_argument(
        "--leakage",
        action="store_true",
        help="what complete cases' second moments tell in each number of columns",
    )
    args = parser.parse_args()
    console = Console(width=160)
    if args.results is None:
        console.print(membership())
        return
    rows = read_rows(args.results, COMMAND)
    if args.drafted or args.leakage:
        header, *lines = at_drafted(rows) if args.drafted else leakage(rows)
        table = Table(*header)
        for line in lines:
            table.add_row(*line)
        console.print(table)
        return
    console.print(frontier(rows, by_data=args.by_data))


if __name__ == "__main__":
    main()
