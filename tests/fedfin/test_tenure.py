"""One aggregator serves a federation: a second one refuses, or takes over; the dead hold nobody up."""

import pytest
from msgspec.structs import replace

from fedfin.errors import StateError
from fedfin.protocol.messages.presence import AggregatorState
from fedfin.protocol.tenure import PROBE_S, REMIND_S, Tenure

FIRST = AggregatorState(online=True, boot="1" * 16, host="north", since=100.0, at=100.0)
SECOND = AggregatorState(online=True, boot="2" * 16, host="south", since=200.0, at=200.0)


def tenure(own: AggregatorState = SECOND, *, predecessor: str = "", take_over: bool = False) -> Tenure:
    """It has asked, at 0 s."""
    made = Tenure(own, predecessor=predecessor, take_over=take_over)
    made.ask(0.0, own.since)
    return made


def serving(own: AggregatorState = FIRST) -> Tenure:
    """Alone."""
    made = tenure(own)
    made.hear(replace(own, asks=True))
    made.begin()
    return made


def test_where_nobody_else_is_it_serves_as_soon_as_it_hears_itself() -> None:
    """What the broker retains comes before that."""
    second = tenure()
    assert not second.may_serve(0.1)
    second.hear(replace(SECOND, asks=True))
    assert second.may_serve(0.1)


def test_a_second_one_refuses_and_names_boot_host_and_since_when() -> None:
    """Once the first has answered: what is retained alone may be of one that died."""
    first, second = serving(), tenure()
    second.hear(FIRST)
    second.hear(replace(SECOND, asks=True))
    assert not second.may_serve(1.0)
    assert first.hear(replace(SECOND, asks=True)), "the first says it anew"
    with pytest.raises(StateError, match=r"boot 1{16}, on north, since 1970-01-01 00:01:40 UTC.*--take-over"):
        second.hear(first.say(201.0))


def test_one_that_its_broker_let_go_for_the_second_is_known_by_its_next_will() -> None:
    """With one client id for both, only the wills of its connections are heard."""
    second = tenure()
    second.hear(replace(FIRST, online=False))
    with pytest.raises(StateError, match="another aggregator of this federation serves"):
        second.hear(replace(FIRST, online=False, at=205.0))


def test_the_dead_are_waited_out() -> None:
    """Its broker may say that it is there for minutes."""
    second = tenure()
    second.hear(FIRST)
    second.hear(replace(SECOND, asks=True))
    second.hear(replace(FIRST, online=False, at=90.0))
    assert not second.may_serve(PROBE_S - 0.1)
    assert second.may_serve(PROBE_S)


@pytest.mark.parametrize(
    "state", [replace(FIRST, online=False, stopped=True), FIRST], ids=["stopped", "killed"]
)
def test_ones_own_predecessor_holds_nobody_up(state: AggregatorState) -> None:
    """A restart in the same folder, after an orderly end or a SIGKILL."""
    second = tenure(predecessor="" if state.stopped else FIRST.boot)
    second.hear(state)
    second.hear(replace(SECOND, asks=True))
    assert second.may_serve(0.1)


def test_the_one_that_was_taken_over_stops_and_says_so() -> None:
    """Also where the other's clock is behind."""
    late = replace(SECOND, since=50.0)
    first, second = serving(), tenure(late, take_over=True)
    second.hear(FIRST)
    second.hear(replace(late, asks=True))
    assert second.may_serve(0.1)
    second.begin()
    assert first.hear(second.say(201.0))
    assert second.hear(first.say(202.0)), "it serves on, and says so"
    with pytest.raises(StateError, match=r"took over from this one: boot 2{16}, on south"):
        first.hear(second.say(203.0))


def test_one_that_is_to_take_over_does_where_it_heard_of_nobody() -> None:
    """Its own will had replaced what the broker kept of the first, which comes back."""
    first, second = serving(), tenure(take_over=True)
    second.hear(replace(SECOND, asks=True))
    assert second.may_serve(0.1)
    second.begin()
    for at in (210.0, 211.0):
        assert second.hear(first.say(at))
    first.hear(second.say(212.0))
    with pytest.raises(StateError, match="took over from this one"):
        first.hear(second.say(213.0))


def test_one_that_was_cut_off_while_another_waited_it_out_stops() -> None:
    """Sites follow the other."""
    first, second = serving(), tenure()
    second.hear(replace(FIRST, online=False))
    assert second.may_serve(PROBE_S)
    second.begin()
    first.hear(second.say(210.0))
    with pytest.raises(StateError, match="took over from this one"):
        first.hear(second.say(211.0))


def test_of_two_that_never_heard_of_each_other_the_later_one_stops() -> None:
    """One remains."""
    first, second = serving(), serving(SECOND)
    assert first.hear(second.say(210.0))
    assert first.hear(second.say(211.0))
    second.hear(first.say(212.0))
    with pytest.raises(StateError, match=r"serves: boot 1{16}"):
        second.hear(first.say(213.0))


def test_the_will_of_one_that_only_asked_stops_nobody() -> None:
    """Though it was started first: each would stop for the other, and nobody served (seed 103817 of the simulation)."""
    asks, serves = tenure(FIRST), serving(SECOND)
    asks.ask(0.0, 205.0)
    serves.hear(asks.say(205.0, online=False))
    assert serves.hear(asks.say(215.0, online=False))
    asks.hear(serves.say(216.0))
    with pytest.raises(StateError, match=r"serves: boot 2{16}"):
        asks.hear(serves.say(217.0))


def test_of_two_that_only_ask_none_refuses_for_the_other() -> None:
    """They take the connection from each other: both refused, and nobody served (seed 302644 of the simulation)."""
    asking = tenure(FIRST), tenure(SECOND)
    for clock in (205.0, 215.0, 225.0):
        for one, other in (asking, asking[::-1]):
            will = one.say(clock, online=False)
            other.ask(clock, clock)
            other.hear(will)
            assert not other.may_serve(clock + PROBE_S - 0.1), "it may serve by now: its next will tells"
            assert other.may_serve(clock + PROBE_S)


def test_what_a_broker_kept_of_the_dead_stops_nobody() -> None:
    """It says it again and again, the same."""
    first = serving()
    assert [first.hear(replace(SECOND, takes_over=True)) for _ in range(5)] == [True] * 5


def test_what_a_broker_that_crashed_brings_back_of_the_dead_stops_nobody() -> None:
    """Its will was heard, which it wrote when it connected; what it had said after that the broker had on its disk."""
    will, said = replace(FIRST, online=False, since=99.0, at=99.0), replace(FIRST, at=110.0)
    second = tenure()
    second.hear(will)
    second.hear(said)
    with pytest.raises(StateError, match=FIRST.boot):
        second.hear(replace(said, at=120.0))


def test_one_that_began_later_is_believed_by_its_first_word_after_its_will() -> None:
    """By turns the two have no connection, each time for longer: a second word may be a minute away."""
    first, later = serving(), replace(SECOND, takes_over=True)
    first.hear(replace(later, online=False, since=199.0, at=199.0))
    with pytest.raises(StateError, match="took over from this one"):
        first.hear(later)


def test_one_that_cannot_serve_yet_says_why_once_a_minute() -> None:
    """Its connections end before there is an answer: it must not wait in silence."""
    second = tenure()
    assert second.waits_for(0.0) is None
    second.hear(FIRST)
    said = second.waits_for(REMIND_S)
    assert said is not None
    assert "heard of: boot 1111111111111111, on north" in said
    assert second.waits_for(REMIND_S + 1.0) is None
    assert serving().waits_for(10 * REMIND_S) is None


def test_time_without_a_connection_proves_nobody_dead() -> None:
    """Two that take the connection from each other: each hears the other's will when it is back."""
    second = tenure()
    second.hear(FIRST)
    second.hear(replace(SECOND, asks=True))
    second.ask(2 * PROBE_S, 220.0)
    assert not second.may_serve(2 * PROBE_S)
    with pytest.raises(StateError, match="another aggregator of this federation serves"):
        second.hear(replace(FIRST, online=False, at=210.0))
