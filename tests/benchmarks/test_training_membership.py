"""How well members are told from others by what training with noise sums."""

from benchmarks.training_membership import attack


def test_noise_hides_from_the_sums_of_training_who_is_in_them() -> None:
    """Of 80 patients next to no noise tells many; at epsilon 1 hardly any, whichever round is looked at."""
    plain, noised = (attack(16, 8, epsilon, 0, rounds=2) for epsilon in (100.0, 1.0))
    assert min(plain) > 0.65
    assert max(noised) < min(plain) - 0.03
