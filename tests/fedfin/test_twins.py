"""A copied site that runs beside the original is told of, a site that starts again is not."""

from fedfin.protocol.twins import REMIND_S, Twins

ONE, OTHER = "1" * 16, "2" * 16


def test_two_starts_that_take_turns_run_both() -> None:
    """With the times at which each was heard of first; each of the two hears it once a minute."""
    twins = Twins()
    assert twins.heard("s0", ONE, 0.0, 100.0) is None
    assert twins.heard("s0", OTHER, 1.0, 101.0) is None
    assert twins.heard("s0", ONE, 2.0, 102.0) == (100.0, 101.0)
    assert twins.heard("s0", OTHER, 3.0, 103.0) == (101.0, 100.0)
    assert twins.heard("s0", ONE, 4.0, 104.0) is None
    assert twins.heard("s0", OTHER, 5.0, 105.0) is None
    assert twins.heard("s0", ONE, 4.0 + REMIND_S, 106.0) == (100.0, 101.0)


def test_a_site_that_connects_or_starts_again_has_no_twin() -> None:
    """However often; and sites are not mixed up."""
    twins = Twins()
    assert [twins.heard("s0", ONE, now, now) for now in (0.0, 1.0, 2.0)] == [None] * 3
    assert [twins.heard("s0", f"{boot:016x}", float(boot), 0.0) for boot in range(100)] == [None] * 100
    assert twins.heard("s1", ONE, 0.0, 0.0) is None
