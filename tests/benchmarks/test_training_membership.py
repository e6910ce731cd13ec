"""How well members are told from others by what training with noise sums."""

import numpy as np

from benchmarks.training_membership import attack


def test_noise_hides_from_the_sums_of_training_who_is_in_them() -> None:
    """Of 80 patients next to no noise tells many; at epsilon 1 hardly any, whichever round is looked at.

    The noise is the operating system's, as in service, so that eight are averaged: one of them differs by .06.
    """
    plain, noised = (
        np.mean([attack(16, 8, epsilon, seed, rounds=2) for seed in range(8)], axis=0)
        for epsilon in (100.0, 1.0)
    )
    assert min(plain) > 0.65
    assert max(noised) < min(plain) - 0.03
