"""The aggregator's shell without a broker: what it says when it ends, and what a new connection leaves of a round."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from round_helpers import PLAN, new_rounds

from fedfin.errors import StateError
from fedfin.limits import CHUNK_BYTES
from fedfin.link.link_events import Arrived
from fedfin.plan_sections import Privacy
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.presence import AggregatorState
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin_aggregator.rounds.secure_rounds import SecureRounds
from fedfin_aggregator.serve.incoming import Written
from fedfin_aggregator.serve.server import Server
from fedfin_aggregator.store.journal import Journal


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
    state = decode(words, AggregatorState)
    assert (state.online, state.stopped) == (False, True)


def test_one_that_was_displaced_does_not_say_of_the_other_that_it_is_gone(
    server: Server, said: list[tuple[str, bytes] | None]
) -> None:
    """Both speak on the same topic."""
    own = server._own.tenure.own
    other = replace(own, boot="2" * 16, takes_over=True, since=own.since + 1.0)
    for seconds in (1.0, 2.0):
        heard = encode(replace(other, at=own.at + seconds))
        server._link.events.put(Arrived(server._own.topic, heard))
    with pytest.raises(StateError, match="took over from this one"):
        server.serve()
    assert said == [None]


def test_a_sum_that_is_about_to_open_stays_the_only_one_of_a_round_that_begins_anew(tmp_path: Path) -> None:
    """The link came back with smaller packets. Sites that have revealed their shares of it give to no other."""
    plan = replace(PLAN, privacy=Privacy(level="secure"), rounds=RoundsPlan(sites=3, min_sites=3))
    rounds = SecureRounds(Journal(tmp_path / "journal.sqlite", create=plan))
    server = Server(rounds, "mqtt://127.0.0.1:1", lambda *_: None)
    server._own.tenure.begin()
    server._on_up(CHUNK_BYTES)
    names, attempt = ("s0", "s1", "s2"), b"a" * 16
    rounds.begin_sum(attempt)
    rounds.keep_sum(OpenSum(1, attempt, names, {}, names, {}, {}))
    server._on_up(CHUNK_BYTES // 4)
    assert server._machine._attempt.id == attempt
