"""Changes of a model as whole steps, few enough of them that sums of all sites fit narrow lanes.

A site's weight times change is rounded to the nearest step and cut off at the preset's most; what that leaves out waits
at the site for the next round (error feedback: Karimireddy et al. 2019, arXiv 1901.09847). So sums of steps are exact,
and no randomness is in them.

All sites need the same step before anybody has rounded anything. It follows from the model: with its steps each site
tells, in the same sum, how large its values are, the mean of that replaces `update.magnitudes` in the next version, and
the round after takes its steps from it:

    update.magnitudes[0]   the mean, by cases, of weight times the root mean square of a tensor's changes; 0 counts for
                           a site that has not trained it
    update.magnitudes[1]   the share of the cases whose sites have
"""

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Tensors
from fedfin.codec.presets import Levels
from fedfin.model.model_spec import MAGNITUDES, quantized_shapes
from fedfin.plan import Plan
from fedfin.secure_sums.fixed_point import ONE

Floats = NDArray[np.float64]
MOST_STEP = 2**40  # so that steps times lanes of limits.COHORT sites stay below 2^62


class Quantizer:
    """Of one round, by the model that it starts from. `steps`: of each tensor, in the fold's fixed point."""

    def __init__(self, plan: Plan, levels: Levels, model: Tensors) -> None:
        self._levels = levels
        sums, shares = model[MAGNITUDES].astype(np.float64).tolist()
        self.steps = {
            name: _step(levels.step * _magnitude(plan, total, share))
            for name, total, share in zip(sorted(quantized_shapes(plan)), sums, shares, strict=True)
        }

    def quantize(self, values: Tensors, weights: dict[str, int]) -> tuple[Tensors, Tensors]:
        """What a site gives in place of its values, and what that leaves of them. The rest stays as it is."""
        given, left = dict(values), {}
        for name in sorted(values.keys() & self.steps.keys()):
            size = self.steps[name] / (weights[name] * ONE)  # of a step, for this site
            most = min(self._levels.most, int(limits.VALUE_ABS / size))
            steps = np.clip(np.rint(values[name] / size), -most, most)
            given[name] = steps.astype(np.float32)
            left[name] = (values[name] - steps * size).astype(np.float32)
        return given, left

    def magnitudes(self, values: Tensors, weights: dict[str, int]) -> NDArray[np.float32]:
        """[2, tensors]: what this site adds to `update.magnitudes`."""
        sizes = [
            weights[name] * _root_mean_square(values[name]) if name in values else 0 for name in self.steps
        ]
        bounded = np.clip([sizes, [name in values for name in self.steps]], 0, limits.VALUE_ABS)
        return bounded.astype(np.float32)


def _magnitude(plan: Plan, total: float, share: float) -> float:
    """Where none is known yet: of one step of training with one batch of cases."""
    if total > 0 and share > 0:
        return total / share
    return plan.training.learning_rate * plan.training.batch_size


def _step(size: float) -> int:
    """In whole units of the fold's fixed point: so a sum of steps is a sum of these, to the last bit."""
    return min(max(1, round(size * ONE)), MOST_STEP)


def _root_mean_square(values: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
