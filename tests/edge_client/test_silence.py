"""A question without an answer is told to people, once a minute, with what was asked and since when."""

import pytest

from fedfin.limits import IDLE_S
from fedfin.protocol.site.states import State
from fedfin_edge.agent.silence import SILENT_S, Silence

NOON = 43_200.0


@pytest.mark.parametrize(
    ("state", "asked"),
    [(State.JOINING, "its hello"), (State.FETCHING, "its question"), (State.SENDING, "its update")],
)
def test_an_unanswered_question_is_told_with_its_time(state: State, asked: str) -> None:
    """An aggregator that is up but stuck looks like this."""
    silence = Silence()
    assert silence.complaint(state, 0.0, NOON) is None
    told = silence.complaint(state, SILENT_S, NOON + SILENT_S)
    assert told is not None
    assert told.startswith(f"{asked} ")
    assert "12:00:00 UTC" in told
    assert silence.complaint(state, SILENT_S + 1, NOON) is None, "once a minute"
    assert "12:00:00 UTC" in str(silence.complaint(state, 2 * SILENT_S, NOON))


def test_an_answer_ends_it() -> None:
    """And so does work, in which nobody is asked."""
    silence = Silence()
    silence.complaint(State.SENDING, 0.0, NOON)
    silence.heard(SILENT_S - 1, NOON)
    assert silence.complaint(State.SENDING, SILENT_S + 1, NOON) is None
    assert silence.complaint(State.WORKING, 10 * SILENT_S, NOON) is None


def test_a_site_without_work_hears_within_two_minutes_that_its_hello_has_no_answer() -> None:
    """It asks once a minute; an aggregator that is stuck was once never noticed."""
    silence = Silence()
    assert silence.complaint(State.IDLE, 0.0, NOON) is None
    assert silence.complaint(State.IDLE, IDLE_S + 1, NOON) is None
    assert "its hello has had no answer" in str(silence.complaint(State.IDLE, 119.0, NOON))
