"""The targets of `make fuzz` for the rounds, for some seconds, and what they have found."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import fuzz_rounds, fuzz_sums


@given(st.binary(max_size=200))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_update_that_decodes_ends_an_aggregator(data: bytes) -> None:
    """It is refused or folded, whatever its task; every round closes, at every restart."""
    fuzz_rounds.fuzz(data)


@given(st.binary(max_size=60))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_sum_that_decodes_ends_a_root(data: bytes) -> None:
    """As no update of a site ends an aggregator."""
    fuzz_sums.fuzz(data)
