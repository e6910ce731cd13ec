"""What an opened sum with noise may hold: no more than its sites' patients, each clipped, and the noise."""

import numpy as np
import pytest
from private_plan import private_plan

from fedfin.errors import ProtocolError
from fedfin.privacy.clipping import STEPS
from fedfin.privacy.discrete_gaussian import discrete_gaussian
from fedfin.privacy.shared_noise import share_of
from fedfin_aggregator.rounds.update_checks import check_noised

PLAN = private_plan()
STEP = 2**24 // STEPS  # in the fold's fixed point


def _sum(patients: int, sites: int = 5) -> np.ndarray:
    """All of them as far as can be in one value, and the noise of so many sites."""
    total = sum(discrete_gaussian(share_of(PLAN, "second_moments"), 5_000) for _ in range(sites))
    total[0] += patients * STEPS
    return total * STEP


def test_what_patients_can_give_passes_with_its_noise() -> None:
    """Of as many as the charter grants."""
    check_noised(PLAN, "second_moments", {"a": _sum(0), "b": _sum(300)}, 300, 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_more_than_the_granted_patients_can_give_is_refused(sign: int) -> None:
    """A site that does not clip, or makes up patients: it cannot be named, and its sum is not taken."""
    with pytest.raises(
        ProtocolError, match="tensor b of the sum is more than the 300 patients that the charter grants"
    ):
        check_noised(PLAN, "second_moments", {"a": _sum(300), "b": sign * _sum(700)}, 300, 5)


def test_the_smallest_of_all_numbers_is_refused() -> None:
    """Its absolute value is itself."""
    with pytest.raises(ProtocolError, match="tensor a of the sum is more"):
        check_noised(PLAN, "evaluate", {"a": np.array([0, -(2**63)])}, 300, 5)
