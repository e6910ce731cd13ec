"""Whose turn it is to send."""

import pytest

from fedfin import limits
from fedfin.protocol.rounds.admission import Admission


def test_no_more_send_at_once_than_there_are_places() -> None:
    """The others stand in line and are called in the order in which they came."""
    admission = Admission(senders=2)
    assert [admission.ask(site, 0.0) for site in "abcd"] == [True, True, False, False]
    assert admission.next(0.0) == []
    admission.leave("a")
    assert admission.next(1.0) == ["c"]
    admission.leave("b")
    admission.leave("c")
    assert admission.next(1.0) == ["d"]


def test_who_asks_again_keeps_its_place() -> None:
    """A sender goes on sending; who stands in line neither loses nor jumps it."""
    admission = Admission(senders=1)
    assert [admission.ask(site, 0.0) for site in "abbca"] == [True, False, False, False, True]
    admission.leave("a")
    assert not admission.ask("c", 1.0), "b is before it, though there is a place"
    assert admission.next(1.0) == ["b"]


def test_a_silent_sender_yields_when_others_wait() -> None:
    """One that is heard of does not; and the silent one stands in line again when it comes back."""
    admission = Admission(senders=2)
    for site in "abc":
        admission.ask(site, 0.0)
    admission.came("b", limits.LEAST_BYTES)
    assert admission.next(limits.SILENCE_S - 0.1) == []
    assert admission.next(limits.SILENCE_S) == ["c"]
    assert not admission.ask("a", limits.SILENCE_S + 1.0)


def test_nobody_yields_when_nobody_waits() -> None:
    """A slow link is no reason to stop it."""
    admission = Admission(senders=1)
    admission.ask("a", 0.0)
    assert admission.next(1000.0) == []
    assert admission.ask("a", 1000.0)


def test_who_leaves_the_line_is_not_called() -> None:
    """Its place goes to the next."""
    admission = Admission(senders=1)
    for site in "abc":
        admission.ask(site, 0.0)
    admission.leave("b")
    admission.leave("a")
    assert admission.next(1.0) == ["c"]


@pytest.mark.parametrize("size", [0, 1024, limits.LEAST_BYTES // 2])
def test_64_names_that_only_ask_or_send_next_to_nothing_do_not_hold_all_places(size: int) -> None:
    """They ask every second, and send a little now and then; it once kept an honest site out for ever."""
    admission, liars = Admission(), [f"liar-{number}" for number in range(limits.SENDERS)]
    for liar in liars:
        admission.ask(liar, 0.0)
    assert not admission.ask("honest", 1.0)
    for second in range(1, int(limits.SILENCE_S)):
        for liar in liars:
            admission.ask(liar, float(second))
        assert admission.next(float(second)) == []
    for liar in liars:
        admission.came(liar, size)
    assert admission.next(limits.SILENCE_S) == ["honest"]


def test_who_sends_at_the_least_rate_keeps_its_place() -> None:
    """Window after window."""
    admission = Admission(senders=1)
    admission.ask("slow", 0.0)
    admission.ask("other", 0.0)
    for window in range(1, 10):
        admission.came("slow", limits.LEAST_BYTES)
        assert admission.next(window * limits.SILENCE_S) == []
    assert admission.next(10 * limits.SILENCE_S) == ["other"]
