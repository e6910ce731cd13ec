"""The pace of sending: a fast link is kept full, a slow one is never a second behind."""

import pytest

from fedfin import limits
from fedfin.protocol.pace import Pace

KIB = 1024
ROOM = limits.CHUNK_BYTES


def under_way(pace: Pace, rate: float, seconds: float, room: int = ROOM) -> list[int]:
    """Drive a link of `rate` bytes/s; the bytes that were under way after each packet was handed over or taken."""
    now, sizes, seen = 0.0, [], []
    while now < seconds:
        while packet := pace.packet(room):
            sizes.append(packet // limits.UP_CHUNK_BYTES * limits.UP_CHUNK_BYTES)
            pace.sent(sizes[-1], now)
            seen.append(sum(sizes))
        now += sizes.pop(0) / rate
        pace.taken(now)
        seen.append(sum(sizes))
    return seen


def test_it_begins_with_two_packets() -> None:
    """Nothing is known of the link yet: a small update goes in one, a slow link has not much under way."""
    pace = Pace()
    assert pace.packet(ROOM) == 128 * KIB
    pace.sent(128 * KIB, 0.0)
    pace.sent(128 * KIB, 0.0)
    assert pace.packet(ROOM) == 0
    assert not pace.idle


def test_a_fast_link_gets_the_whole_window_after_one_answer() -> None:
    """Eight packets of 256 KiB, and never more."""
    pace = Pace()
    pace.sent(32 * KIB, 0.0)
    pace.taken(0.002)
    assert pace.allowed == limits.WINDOW * limits.CHUNK_BYTES
    assert pace.packet(ROOM) == limits.CHUNK_BYTES
    assert max(under_way(pace, 50e6, 1.0)) == limits.WINDOW * limits.CHUNK_BYTES


@pytest.mark.parametrize("room", [512 * KIB, 768 * KIB, limits.MOST_CHUNK_BYTES])
def test_of_larger_packets_fewer_are_under_way(room: int) -> None:
    """They fill the same window, also where the last of them has to be smaller."""
    pace = Pace()
    pace.sent(32 * KIB, 0.0)
    pace.taken(0.002)
    assert pace.packet(room) == room
    assert max(under_way(pace, 50e6, 1.0, room)) == limits.WINDOW * limits.CHUNK_BYTES


@pytest.mark.parametrize(("rate", "packet"), [(64e3, 32 * KIB), (1e6, 125_000), (4e6, 500_000)])
def test_a_slow_link_has_packets_of_an_eighth_of_a_second_however_large_they_might_be(
    rate: float, packet: int
) -> None:
    """So that a broken connection costs no more than without the option."""
    pace = Pace()
    under_way(pace, rate, 60.0, limits.MOST_CHUNK_BYTES)
    pace.forget()
    assert pace.packet(limits.MOST_CHUNK_BYTES) == pytest.approx(packet, rel=0.1)


@pytest.mark.parametrize("rate", [64e3, 250e3, 1e6])
def test_a_slow_link_has_about_a_second_under_way(rate: float) -> None:
    """0.5, 2 and 8 Mbit/s; two grains at least."""
    settled = under_way(Pace(), rate, 60.0)[50:]
    most = max(2 * limits.UP_CHUNK_BYTES, rate * 1.1 + limits.CHUNK_BYTES / 8)
    assert max(settled) <= most
    assert min(settled) > 0


def test_answers_in_a_burst_do_not_deceive() -> None:
    """A link that loses acknowledgements delivers them together, a second after the packets."""
    pace, now = Pace(), 0.0
    for _ in range(10):
        count = 0
        while packet := pace.packet(ROOM):
            pace.sent(packet, now)
            count += 1
        now += 1.0
        for _ in range(count):
            pace.taken(now)
        assert pace.allowed <= 256 * KIB


def test_a_pause_makes_it_careful_and_an_answer_bold_again() -> None:
    """Five seconds of silence in the middle."""
    pace = Pace()
    under_way(pace, 250e3, 20.0)
    before = pace.allowed
    pace.taken(25.0)
    assert pace.allowed < 0.8 * before
    pace.forget()
    assert pace.idle
    under_way(pace, 250e3, 20.0)
    assert pace.allowed == pytest.approx(before, rel=0.2)


def test_an_answer_to_nothing_changes_nothing() -> None:
    """The broker may acknowledge what a forgotten connection sent."""
    pace = Pace()
    pace.taken(1.0)
    assert pace.packet(ROOM) == 128 * KIB
