"""The aggregator's shell without a broker: what it says when it ends, and what a new connection leaves of a round."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from round_helpers import new_rounds

from fedfin.errors import StateError
from fedfin.link.link_events import Arrived
from fedfin.protocol import messages
from fedfin_aggregator.serve.incoming import Written
from fedfin_aggregator.serve.server import Server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """It serves; its link says nothing to anybody."""
    server = Server(new_rounds(tmp_path), "mqtt://127.0.0.1:1", lambda *_: None)
    monkeypatch.setattr(server._link, "start", lambda: None)
    server._own.tenure.begin()
    return server


@pytest.fixture
def said(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes] | None]:
    """Its last words."""
    said: list[tuple[str, bytes] | None] = []
    monkeypatch.setattr(server._link, "stop", said.append)
    return said


def test_one_that_cannot_write_its_folder_says_that_it_is_gone(
    server: Server, said: list[tuple[str, bytes] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the broker would go on saying that it is online: it was not cut off, so there is no will either."""

    def full() -> None:
        raise StateError("cannot be written")

    monkeypatch.setattr(server._incoming, "answers", full)
    server._link.events.put(Written())
    with pytest.raises(StateError, match="cannot be written"):
        server.serve()
    [(topic, words)] = filter(None, said)
    assert topic == server._own.topic
    state = messages.decode(words, messages.AggregatorState)
    assert (state.online, state.stopped) == (False, True)


def test_one_that_was_displaced_does_not_say_of_the_other_that_it_is_gone(
    server: Server, said: list[tuple[str, bytes] | None]
) -> None:
    """Both speak on the same topic."""
    own = server._own.tenure.own
    other = replace(own, boot="2" * 16, takes_over=True, since=own.since + 1.0)
    for seconds in (1.0, 2.0):
        heard = messages.encode(replace(other, at=own.at + seconds))
        server._link.events.put(Arrived(server._own.topic, heard))
    with pytest.raises(StateError, match="took over from this one"):
        server.serve()
    assert said == [None]
