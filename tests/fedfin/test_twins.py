"""A copied site that runs beside the original is told of, a site that starts again is not."""

from fedfin.protocol.twins import REMIND_S, Reminder, Twins

ONE, OTHER = "1" * 16, "2" * 16


def test_two_starts_that_take_turns_run_both() -> None:
    """With the times at which each was heard of first; at each turn, as what one is told may get lost."""
    twins = Twins()
    assert twins.heard("s0", ONE, 100.0) is None
    assert twins.heard("s0", OTHER, 101.0) is None
    for _ in range(2):
        assert twins.heard("s0", ONE, 102.0) == (100.0, 101.0)
        assert twins.heard("s0", OTHER, 103.0) == (101.0, 100.0)


def test_a_site_that_connects_or_starts_again_has_no_twin() -> None:
    """However often; and sites are not mixed up."""
    twins = Twins()
    assert [twins.heard("s0", ONE, now) for now in (0.0, 1.0, 2.0)] == [None] * 3
    assert [twins.heard("s0", f"{boot:016x}", 0.0) for boot in range(100)] == [None] * 100
    assert twins.heard("s1", ONE, 0.0) is None


def test_people_are_reminded_once_a_minute() -> None:
    """Of each name by itself."""
    reminder = Reminder()
    assert reminder.due("s0", 0.0)
    assert not reminder.due("s0", 1.0)
    assert reminder.due("s1", 1.0)
    assert reminder.due("s0", REMIND_S)
