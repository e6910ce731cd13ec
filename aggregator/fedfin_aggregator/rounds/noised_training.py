"""What training makes of sums with noise: a step of descent, and a calibration that knows how large the noise is.

What the step is divided by is the number of patients that the plan states: the true one would tell of each of them.
"""

import numpy as np
from numpy.typing import NDArray

from fedfin.model.model_spec import CALIBRATION
from fedfin.plan import Plan
from fedfin.privacy.clipping import STEPS
from fedfin.privacy.contributions import gradient_scale, score_scale
from fedfin.privacy.shared_noise import share_of
from fedfin.secure_sums.fixed_point import ONE
from fedfin_aggregator.closed_form.pooled_moments import Sums

Floats = NDArray[np.float64]

LEAST = 1e-6


def descent(plan: Plan, sums: Sums) -> dict[str, Floats]:
    """What a round adds to the head's tensors. sums: of clipped gradients, downhill, each patient's norm 1 at most."""
    patients = plan.privacy.patients or 1  # the plan has it wherever it trains with noise
    step = np.float64(plan.training.learning_rate / (gradient_scale(plan) * patients * ONE))
    return {name: step * sum_.total.astype(np.float64) for name, sum_ in sums.items()}


def denoised_scores(plan: Plan, sums: Sums) -> Floats:
    """Sums over cases as `head_calibration.calibrate` reads them, [patterns, labels, classes, 5].

    Of n cases whose logits vary by w, a mean of logits varies by w / n, and by v / n^2 with noise of variance v. So
    they tell as much as n^2 / (n + v / w) cases without noise: so many they are taken to be.
    """
    sum_, scale = sums[CALIBRATION], score_scale(plan)
    counts, *others = np.moveaxis(sum_.total / ONE / scale, -1, 0)
    counts = np.maximum(counts, 0.0)
    variance = share_of(plan, "calibrate") * sum_.weight / STEPS**2 / np.square(scale)
    shrinkage = counts / (counts + variance[1] / _within(counts, *others[:2]) + LEAST)
    denoised: Floats = np.stack([counts, *others], axis=-1) * shrinkage[..., None]
    return denoised


def _within(counts: Floats, logit: Floats, squared: Floats) -> float:
    """The variance of the head's logits within a class, over all patterns and labels."""
    about_mean = squared - np.square(logit) / np.maximum(counts, 1.0)
    return max(float(about_mean.sum() / max(counts.sum(), 1.0)), LEAST)
