"""What becomes of the calibration that sites measured: means, turned back into counts that tell how sure they are."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedfin.model.model_spec import CALIBRATION_CASES, CALIBRATION_UNIT
from fedfin_aggregator.fold.fold import Sum

Means = Mapping[str, NDArray[np.float64]]


def counted(means: Means, sums: Mapping[str, Sum]) -> dict[str, NDArray[np.float64]]:
    """Each mean times the cases behind it, CALIBRATION_CASES at most, in units of CALIBRATION_UNIT."""
    return {
        name: mean * (min(sums[name].weight, CALIBRATION_CASES) / CALIBRATION_UNIT)
        for name, mean in means.items()
    }
