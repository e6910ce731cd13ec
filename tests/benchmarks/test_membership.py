"""How well members are told from others, with noise and without."""

import numpy as np
import pytest

from benchmarks.membership import attack, bound, population_bound


def test_noise_hides_who_few_patients_in_many_dimensions_are() -> None:
    """Of 72 in 32 dimensions sums alone tell nearly all; at epsilon 1 next to nothing."""
    open_, noised = (np.mean([attack(72, 32, e, seed) for seed in range(3)], axis=0) for e in (None, 1.0))
    assert min(open_) > 0.85
    assert max(noised) < 0.6


def test_no_attack_does_better_than_the_bound() -> None:
    """Which less epsilon lowers, and no noise leaves at one."""
    bounds = [bound(epsilon) for epsilon in (1.0, 3.0, 8.0, None)]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(0.57, abs=0.01)
    assert bounds[-1] == 1.0
    for epsilon in (1.0, 8.0):
        assert max(np.mean([attack(300, 16, epsilon, seed) for seed in range(4)], axis=0)) < bound(epsilon)


def test_who_knows_the_population_tells_no_more_than_its_bound() -> None:
    """Which falls with more patients and with less epsilon, and is below that of who knows all others."""
    bounds = [population_bound(720, 8, epsilon) for epsilon in (1.0, 8.0, None)]
    assert bounds == sorted(bounds)
    assert population_bound(3000, 8, 8.0) < population_bound(720, 8, 8.0) < bound(8.0)
    for epsilon in (8.0, None):
        found = np.mean([attack(720, 8, epsilon, seed)[1] for seed in range(4)])
        assert found < population_bound(720, 8, epsilon) + 0.01
