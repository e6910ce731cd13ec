"""What few dimensions cost and what they hide: the tables of docs/dimensions.md.

    python -m benchmarks.dimensions [RESULTS] [--by-data]

RESULTS: of `fedfin study run dimensions`: how far each number of dimensions is from all of them in AUC x 100, in the
mean over columns (data, setting, what is shown), and in the worst of them, with a site's bytes up. Without it how well
membership is told from summed second moments, by patients and dimensions, for features that are jointly normal.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row, read_rows
from benchmarks.study.grid import COMMAND

ALL = "fedfin"
PATIENTS = (72, 144, 300, 720, 3000)
DIMENSIONS = (8, 16, 32, 64, 128, 256)
TRIES = 5

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
    table = Table("method", "columns", "mean", "worst", *(data if by_data else []), "kB up")
    for method in sorted(gains, key=_order):
        of = gains[method]
        means = [_mean(gain for column, gain in of.items() if column[0] == name) for name in data if by_data]
        up = fmean(row["up"] for row in rows if row["method"] == method and "up" in row)
        table.add_row(
            method, str(len(of)), f"{_mean(of.values()):+.2f}", f"{min(of.values()):+.2f}",
            *(f"{mean:+.2f}" for mean in means), f"{up / 1000:,.0f}",
        )  # fmt: skip
    return table


def _order(method: str) -> tuple[str, int, float]:
    """By kind, then by number, `all` last."""
    kind, _, numbers = method.rpartition("/")
    kind, _, dims = kind.rpartition("/")
    return (kind, 1 << 16 if dims == "all" else int(dims), float(numbers)) if kind else ("", 0, 0.0)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else float("nan")


def membership() -> Table:
    """AUC by which members are told from others: who knows the sum alone, and who knows all other patients, too."""
    table = Table("patients", *(f"{dims} dimensions" for dims in DIMENSIONS))
    for patients in PATIENTS:
        cells = [
            np.mean([_attack(patients, dims, seed) for seed in range(TRIES)], axis=0) for dims in DIMENSIONS
        ]
        table.add_row(f"{patients:,}", *(f"{sum_:.2f} / {reference:.2f}" for sum_, reference in cells))
    return table


def _attack(patients: int, dims: int, seed: int) -> tuple[float, float]:
    """Members stand out less than their sum says; or they resemble how the sum differs from what all have."""
    rng = np.random.default_rng([patients, dims, seed])
    members, others = rng.standard_normal((2, patients, dims))
    moments = members.T @ members / patients
    by_sum = np.linalg.pinv(moments, hermitian=True)
    by_reference = np.eye(dims) - moments
    return membership_auc(members, others, by_sum), membership_auc(members, others, by_reference)


def membership_auc(members: Floats, others: Floats, form: Floats) -> float:
    """AUC of the quadratic form, lower for members."""
    scores = [np.einsum("nd,de,ne->n", cases, form, cases) for cases in (others, members)]
    ranks = np.argsort(np.argsort(np.concatenate(scores)))[: len(others)]
    return float((ranks.sum() - len(others) * (len(others) - 1) / 2) / (len(others) * len(members)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, help="of `fedfin study run dimensions`")
    parser.add_argument("--by-data", action="store_true", help="also the mean of each data set")
    args = parser.parse_args()
    console = Console(width=160)
    if args.results is None:
        console.print(membership())
    else:
        console.print(frontier(read_rows(args.results, COMMAND), by_data=args.by_data))


if __name__ == "__main__":
    main()
