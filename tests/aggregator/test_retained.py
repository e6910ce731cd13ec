"""Retained chunks: published, cleared when no longer on offer, in every life of the aggregator."""

from pathlib import Path

import pytest
from round_helpers import PLAN

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.rounds.effects import PublishPart
from fedfin.protocol.rounds.events import Payload
from fedfin.protocol.topics import Topics
from fedfin_aggregator.serve.retained import Retained
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.version_records import Step

TOPICS = Topics("ward")


class Broker:
    """What is retained; `online` False: what is published is dropped, as the link does."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self.online, self._token = True, 0

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int:
        """A token for each message that is taken."""
        assert retain
        if not self.online:
            return -1
        self._token += 1
        self.retained[topic] = payload
        if not payload:
            del self.retained[topic]
        return self._token

    @property
    def tokens(self) -> range:
        """Of everything so far."""
        return range(1, self._token + 1)


def _part(version: int, size: int = 3000) -> PublishPart:
    data = bytes([version]) * size
    return PublishPart(Payload("snapshot", version, data), transfer.outline(data, 1024))


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite", create=PLAN)


def _topics(version: int, count: int) -> set[str]:
    return {TOPICS.chunk("snapshot", version, index) for index in range(count)}


def test_what_is_no_longer_on_offer_is_cleared(broker: Broker, journal: Journal) -> None:
    """And forgotten only when the broker has confirmed all of it."""
    retained = Retained(broker, TOPICS, journal)
    retained.put(_part(1))
    retained.put(_part(2))
    retained.keep_only([("snapshot", 2)])
    assert set(broker.retained) == _topics(2, 3)
    *all_but_one, last = broker.tokens
    for token in all_but_one:
        retained.taken(token)
    assert set(journal.versions.retained()) == {("snapshot", 1), ("snapshot", 2)}
    retained.taken(last)
    assert set(journal.versions.retained()) == {("snapshot", 2)}


def test_a_part_of_the_round_s_own_is_published_without_another_flush(
    broker: Broker, journal: Journal
) -> None:
    """All sites wait for it; that it is retained was written down with the round. One cut smaller is written again."""
    part = _part(1)
    journal.open_round(1, "moments", Step(1, b"i" * 32, (part.payload,), (("snapshot", 1),), b""))
    ((_, foreseen),) = journal.versions.retained().items()
    before = journal._db.total_changes
    Retained(broker, TOPICS, journal).put(PublishPart(part.payload, transfer.outline(part.payload.data)))
    assert (journal._db.total_changes, foreseen) == (before, 1)
    Retained(broker, TOPICS, journal).put(part)
    assert journal.versions.retained() == {("snapshot", 1): 3}


@pytest.mark.parametrize("chunk_bytes", [1024, 64 * 1024, limits.MOST_CHUNK_BYTES])
def test_as_many_chunks_are_foreseen_as_the_broker_s_packets_need(
    broker: Broker, journal: Journal, chunk_bytes: int
) -> None:
    """Fewer would cost another flush, more an empty message each when they are cleared."""
    part = _part(1, 3 * limits.MOST_CHUNK_BYTES + 1)
    journal.versions.chunk_bytes = chunk_bytes
    journal.open_round(1, "moments", Step(1, b"i" * 32, (part.payload,), (("snapshot", 1),), b""))
    before = journal._db.total_changes
    outline = transfer.outline(part.payload.data, chunk_bytes)
    Retained(broker, TOPICS, journal).put(PublishPart(part.payload, outline))
    assert journal._db.total_changes == before
    ((_, foreseen),) = journal.versions.retained().items()
    assert len(broker.retained) <= foreseen <= 1.03 * len(broker.retained) + 1  # it may be sealed, and padded


def test_an_earlier_life_s_chunks_are_cleared_too(broker: Broker, journal: Journal) -> None:
    """It died between publishing and clearing; also more chunks than the part has now."""
    Retained(broker, TOPICS, journal).put(_part(1))
    Retained(broker, TOPICS, journal).put(_part(2, 5000))
    later = Retained(broker, TOPICS, journal)
    later.put(_part(3))
    later.keep_only([("snapshot", 3)])
    assert set(broker.retained) == _topics(3, 3)


def test_what_the_broker_did_not_hear_is_said_again(broker: Broker, journal: Journal) -> None:
    """A part that was published, and one that was cleared, while the link was down."""
    retained = Retained(broker, TOPICS, journal)
    retained.put(_part(1))
    broker.online = False
    retained.put(_part(2))
    retained.keep_only([("snapshot", 2)])
    broker.online = True
    retained.publish_again()
    retained.clear_others()
    assert set(broker.retained) == _topics(2, 3)
    for token in broker.tokens:
        retained.taken(token)
    assert set(journal.versions.retained()) == {("snapshot", 2)}
