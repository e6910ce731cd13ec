"""One patient moves a sum by no more than the norm, whatever his cases are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfin.privacy.clipping import MOST_PATIENTS, STEPS, by_patient, clipped, in_steps


def test_a_patient_with_many_cases_counts_no_more_than_the_norm() -> None:
    """A hundred cases of one patient are one contribution of norm 2; another patient's is as it was."""
    cases = np.vstack([np.full((100, 4), 3.0), [[0.1, 0.2, 0.0, 0.0]]])
    found = clipped(by_patient(cases, np.array([7] * 100 + [3])), 2.0)
    assert found.shape == (2, 4)
    assert np.allclose(found, [[0.1, 0.2, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])


def test_cases_of_a_patient_need_not_stand_together() -> None:
    """In a table they are anywhere."""
    cases = np.arange(8.0).reshape(4, 2)
    assert np.array_equal(by_patient(cases, np.array([5, 1, 5, 1])), [[8.0, 10.0], [4.0, 6.0]])


@given(st.integers(0, 10_000), st.integers(1, 3_000), st.sampled_from([1e-3, 1.0, 1e6]))
def test_no_patient_s_steps_are_longer_than_the_norm(seed: int, values: int, size: float) -> None:
    """Exactly, in whole numbers: noise is measured by this and nothing else."""
    rng = np.random.default_rng(seed)
    rows = size * rng.standard_normal((5, values)) * rng.choice([0.0, 1.0, 100.0], (5, 1))
    steps = in_steps(rows, 1.0)
    assert steps.dtype == np.int64
    assert (np.square(steps).sum(axis=1) <= STEPS**2).all()


def test_rounding_is_right_in_the_mean() -> None:
    """What is a tenth of a step of every patient is not lost in the sum of many."""
    patients = 40_000
    rows = np.zeros((patients, 2))
    rows[:, 0], rows[:, 1] = 0.1 / STEPS, -0.7 / STEPS
    sums = in_steps(rows, 1.0).sum(axis=0)
    assert abs(sums[0] / patients - 0.1) < 5 * np.sqrt(0.09 / patients)
    assert abs(sums[1] / patients + 0.7) < 5 * np.sqrt(0.21 / patients)


def test_clipping_to_steps_keeps_direction_and_length() -> None:
    """In many values, too, where rounding makes rows longer: within two in a hundred."""
    row = np.random.default_rng(1).standard_normal((1, 5_000))
    steps = in_steps(row, 1.0)[0] / STEPS
    unit = row[0] / np.linalg.norm(row)
    assert steps @ unit == pytest.approx(1.0, abs=0.02)


def test_the_sum_of_the_most_patients_is_exact_in_float32() -> None:
    """All of them as far as can be in one value, and as much again of noise."""
    total = 2 * STEPS * MOST_PATIENTS
    assert int(np.float32(total)) == total
    assert int(np.float32(total - 1)) == total - 1


def test_a_patient_without_anything_adds_nothing() -> None:
    """No division by his norm of zero."""
    assert (in_steps(np.zeros((1, 3)), 1.0) == 0).all()


def test_a_patient_whose_contribution_is_no_number_adds_nothing() -> None:
    """NaN has no norm: it would be the largest number there is, beside which no noise hides who is there."""
    rows = np.array([[np.nan, 0.5], [np.inf, 0.0], [0.5, 0.5], [-np.inf, np.nan]])
    steps = in_steps(rows, 1.0)
    assert (steps[[0, 1, 3]] == 0).all()
    assert (steps[2] == STEPS // 2).all()
