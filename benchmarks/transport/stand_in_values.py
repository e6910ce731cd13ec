"""Values that a site might send, drawn instead of computed: an aggregator refuses what no cases can give."""

import numpy as np

from fedfin.codec import Shapes, Tensors
from fedfin.model.answer_counts import COUNT
from fedfin.model.model_spec import HISTOGRAM_BINS, Task


def possible(task: Task, shapes: Shapes, random: np.random.Generator) -> Tensors:
    """Any values in [0, 1) of training; means below 1, mean squares above, counts; shares of no more than all cases."""
    shares = {"calibrate": np.float32(1 / 2), "evaluate": np.float32(1 / (2 * HISTOGRAM_BINS))}
    drawn = {n: random.random(s, np.float32) * shares.get(task, np.float32(1)) for n, s in shapes.items()}
    if task == "moments":
        drawn |= {n: values + np.float32(1) for n, values in drawn.items() if n.endswith(".square")}
        drawn |= {n: np.rint(values) for n, values in drawn.items() if n.startswith(COUNT)}
    return drawn
