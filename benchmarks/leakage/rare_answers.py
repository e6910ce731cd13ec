"""What floors on answers leave of an evaluation and of a calibration by secure sums: printed as a table.

    python -m benchmarks.leakage.rare_answers

A plan may leave labels out of these sums of which too few patients of all sites have one of the two answers
(`privacy.least_answers`); a site may do so by its own patients (`policy.rare_answers = false`). Patients have the
finding independently of each other; each is held out, kept for calibration, or neither.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedfin.limits import LEAST_PATIENTS
from fedfin_edge.cases.dataset import VALIDATION

SITES, DRAWS = 10, 20_000
HELD_OUT = 0.2  # as site.toml has it if nobody says so
PATIENTS, SHARES = (72, 300, 1_000), (0.01, 0.05, 0.2)
WAYS = ("positives left by the count", "positives left by each site", "one positive in all")
COLUMNS = (
    "patients a site",
    "with the finding",
    *(f"{sum_}: {way}" for sum_ in ("evaluation", "calibration") for way in WAYS),
)


class Sum(NamedTuple):
    """Of the positives in the sum, the share that is left; and how often there is one positive.

    counted: by a floor on each answer of all sites together; left: of each site. lone: without either.
    """

    counted: float
    left: float
    lone: float


def of_sum(patients: int, share: float, kept: float, rng: np.random.Generator) -> Sum:
    """Of SITES of so many patients, of whom a share has the finding and a share is in this sum."""
    asked = rng.binomial(patients, kept, (DRAWS, SITES))
    positives = rng.binomial(asked, share)
    asked = np.where(asked >= LEAST_PATIENTS, asked, 0)  # fewer give nothing, whatever they answer
    positives = np.where(asked > 0, positives, 0)
    total = positives.sum(axis=1, keepdims=True)
    counted = _enough(total, asked.sum(axis=1, keepdims=True))
    lone = float((total == 1).mean())
    return Sum(_share(positives, counted), _share(positives, _enough(positives, asked)), lone)


def _enough(positives: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether as many as a floor asks for have each of the two answers."""
    enough: NDArray[np.bool_] = (positives >= LEAST_PATIENTS) & (asked - positives >= LEAST_PATIENTS)
    return enough


def _share(positives: NDArray[np.int64], enough: NDArray[np.bool_]) -> float:
    total = positives.sum()
    return float((positives * enough).sum() / total) if total else 0.0


def table() -> Iterator[str]:
    """Markdown, line by line."""
    rng = np.random.default_rng(0)
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|" + "---|" * len(COLUMNS)
    for patients in PATIENTS:
        for share in SHARES:
            sums = [of_sum(patients, share, k, rng) for k in (HELD_OUT, (1 - HELD_OUT) * VALIDATION)]
            cells = [f"{part:.0%}" for of in sums for part in of]
            yield f"| {patients:,} | {share:.0%} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(table()))
