"""What a floor on each answer would leave of an evaluation and of a calibration by secure sums: printed as a table.

    python -m benchmarks.leakage.rare_answers

A site may leave labels out of these sums of which too few of its patients have one of the two answers
(`policy.rare_answers = false`). Patients have the finding independently of each other; each is held out, kept for
calibration, or neither.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fedfin.limits import LEAST_PATIENTS
from fedfin_edge.cases.dataset import VALIDATION

SITES, DRAWS = 10, 20_000
HELD_OUT = 0.2  # as site.toml has it if nobody says so
PATIENTS, SHARES = (72, 300, 1_000), (0.01, 0.05, 0.2)
COLUMNS = (
    "patients a site",
    "with the finding",
    "evaluation: positives left",
    "one positive in all",
    "calibration: positives left",
    "one positive in all",
)


class Sum(NamedTuple):
    """left: of the positives in the sum, the share that a floor on each answer leaves; lone: how often there is one."""

    left: float
    lone: float


def of_sum(patients: int, share: float, kept: float, rng: np.random.Generator) -> Sum:
    """Of SITES of so many patients, of whom a share has the finding and a share is in this sum."""
    asked = rng.binomial(patients, kept, (DRAWS, SITES))
    positives = rng.binomial(asked, share)
    asked = np.where(asked >= LEAST_PATIENTS, asked, 0)  # fewer give nothing, whatever they answer
    positives = np.where(asked > 0, positives, 0)
    enough = (positives >= LEAST_PATIENTS) & (asked - positives >= LEAST_PATIENTS)
    total = positives.sum()
    left = float((positives * enough).sum() / total) if total else 0.0
    return Sum(left, float((positives.sum(axis=1) == 1).mean()))


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
