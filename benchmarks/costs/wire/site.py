"""One real site agent over drawn features: its tasks, updates and messages are those of `fedfin edge run`.

    python -m benchmarks.costs.wire.site FOLDER NUMBER

The first sites hold both modalities, as many as the demo has with reports; the others the first one alone.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.transport.stand_in_site import take_part
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset

CASES = 96
WITH_BOTH = 2  # of the demo: `--with-text`


def drawn_cases(plan: Plan, number: int) -> Dataset:
    """Jointly normal features of common causes, and labels that follow from them; every case is of another patient."""
    world, random = np.random.default_rng(plan.seed), np.random.default_rng([plan.seed, number])
    causes = random.normal(size=(CASES, 16))
    features = {
        m: (causes @ world.normal(size=(16, dim)) + random.normal(size=(CASES, dim))).astype(np.float32) / 4
        for m, dim in plan.dims.items()
    }
    held = {m: place == 0 or number < WITH_BOTH for place, m in enumerate(plan.dims)}
    present = {m: np.full(CASES, there) for m, there in held.items()}
    scores = causes @ world.normal(size=(16, len(plan.labels)))
    side = np.arange(CASES)
    return Dataset(
        {m: values * present[m][:, None] for m, values in features.items()},
        present,
        (scores + random.logistic(size=scores.shape) > 0).astype(np.float32),
        side % 4 == 3,
        validation=side % 8 == 0,
        second_half=side % 2 == 1,
    )


def main() -> None:
    """Take part until the federation is finished."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    take_part(folder, lambda plan: drawn_cases(plan, number))


if __name__ == "__main__":
    main()
