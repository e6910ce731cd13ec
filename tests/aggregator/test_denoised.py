"""From sums with noise to sums that can be solved."""

import numpy as np
import pytest
from numpy.typing import NDArray
from private_plan import private_plan

from fedfin.model.second_moment_spec import unpack
from fedfin.privacy import contributions
from fedfin_aggregator.closed_form.denoised import denoised
from fedfin_aggregator.closed_form.pooled_moments import Moments, Sums
from fedfin_aggregator.closed_form.solve import solve
from fedfin_aggregator.fold.fold import Sum

PLAN = private_plan()
Floats = NDArray[np.float64]
ONE = 2.0**24


class Cases:
    """Some whose label x is in the first feature of the image, and the text's first feature, too."""

    def __init__(self, seed: int, count: int = 400) -> None:
        rng = np.random.default_rng(seed)
        image, text = rng.standard_normal((count, 4)), rng.standard_normal((count, 3))
        text[:, 0] = image[:, 0] + 0.5 * text[:, 0]
        self.labels = (image[:, :2] + 0.3 * rng.standard_normal((count, 2)) > 0.5).astype(np.float64)
        self.basis = {
            m: np.insert(values, 0, 1.0, axis=1) for m, values in (("image", image), ("text", text))
        }
        self.present = {"image": rng.random(count) < 0.9, "text": rng.random(count) < 0.7}

    def released(self, noise: float = 0.0, seed: int = 0) -> Sums:
        """Their sums, unclipped, with Gaussian noise of this deviation."""
        rng = np.random.default_rng(seed)
        tensors = contributions.second_moments(PLAN, self.basis, self.present, self.labels)
        return {
            name: _sum(values.sum(axis=0) + noise * rng.standard_normal(values.shape[1:]))
            for name, values in tensors.items()
        }


def _sum(values: Floats) -> Sum:
    return Sum(np.rint(values * ONE).astype(np.int64), 5)


def test_without_noise_they_are_the_cases_second_moments() -> None:
    """Counts and products as the cases have them; where a label is known of all, its counts, too."""
    cases = Cases(1)
    moments = Moments(PLAN, denoised(PLAN, cases.released()))
    for one in PLAN.dims:
        for other in PLAN.dims:
            both = cases.present[one] & cases.present[other]
            assert moments.cases(one, other) == both.sum()
            products = cases.basis[one][both].T @ cases.basis[other][both]
            assert np.allclose(moments.cross(one, other), products, atol=1e-4)
        held, expert = cases.present[one], moments.expert(one)
        assert np.allclose(expert.known, held.sum())
        assert np.allclose(expert.xy, cases.basis[one][held].T @ cases.labels[held], atol=1e-4)


def test_no_variance_is_negative_however_large_the_noise() -> None:
    """The joint matrix is one that cases could have."""
    for seed in range(5):
        sums = denoised(PLAN, Cases(2, 30).released(noise=20.0, seed=seed))
        for modality in PLAN.dims:
            gram = unpack(sums[f"second.partial.{modality}.{modality}"].total / ONE)
            assert sums[f"second.partial.{modality}.{modality}"].weight == gram[0, 0] >= 2
            assert np.linalg.eigvalsh(gram[1:, 1:]).min() > -1e-6


@pytest.mark.parametrize("noise", [0.1, 3.0, 1000.0])
def test_noise_alone_gives_a_model_that_says_nothing_and_no_error(noise: float) -> None:
    """Sites without cases take part, too."""
    halves = [denoised(PLAN, Cases(3, 1).released(noise, seed)) for seed in (1, 2)]
    tensors = solve(PLAN, halves)
    assert all(np.isfinite(values).all() for values in tensors.values())


def test_a_little_noise_changes_an_expert_a_little() -> None:
    """The direction in which the label lies is found; by much noise it is not."""
    turned = {}
    for noise in (0.0, 1.0, 300.0):
        halves = [denoised(PLAN, Cases(seed).released(noise, seed)) for seed in (1, 2)]
        weight = solve(PLAN, halves)["expert.image.image.weight"][0]
        turned[noise] = abs(weight[0]) / max(float(np.linalg.norm(weight)), 1e-12)
    assert turned[0.0] > 0.98
    assert turned[1.0] > 0.95
    assert turned[300.0] < 0.95
