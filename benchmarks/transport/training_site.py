"""One real site agent that trains as it does in a hospital, on cases that are drawn.

python -m benchmarks.transport.training_site FOLDER NUMBER
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.transport.stand_in_site import take_part
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset

CASES = 300
CAUSES = 8  # hidden variables that features and labels come from


def draw(number: int, plan: Plan) -> Dataset:
    """Patients of a case each, all with every modality."""
    world, random = np.random.default_rng(plan.seed), np.random.default_rng([plan.seed, number])
    causes = random.standard_normal((CASES, CAUSES))

    def caused(count: int) -> NDArray[np.float64]:
        mean = causes @ world.standard_normal((CAUSES, count)) / np.sqrt(CAUSES)
        return np.asarray(mean + random.standard_normal(mean.shape))

    features = {name: caused(dim).astype(np.float32) for name, dim in plan.dims.items()}
    labels = (caused(len(plan.labels)) > 0).astype(np.float32)
    present = {name: np.ones(CASES, np.bool_) for name in plan.dims}
    return Dataset(features, present, labels, np.zeros(CASES, np.bool_))


def main() -> None:
    """Take part until the federation is finished."""
    take_part(Path(sys.argv[1]), partial(draw, int(sys.argv[2])))


if __name__ == "__main__":
    main()
