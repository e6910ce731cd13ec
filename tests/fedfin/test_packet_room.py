"""How large a chunk may be: as the URL says, within what a broker announces and what was tried smaller."""

import pytest

from fedfin import limits
from fedfin.errors import LinkError
from fedfin.link.packet_room import PacketRoom

KIB = 1024


@pytest.mark.parametrize(
    ("wanted", "announced", "chunk"),
    [
        (1024, None, 1024 * KIB),
        (1024, 2_000_000, 1024 * KIB),
        (1024, 266_240, 256 * KIB),
        (1024, 100_000, 100_000 - limits.PACKET_OVERHEAD_BYTES),
        (4, None, 4 * KIB),
        (4, 266_240, 4 * KIB),
        (4, 2048, KIB),
    ],
)
def test_a_chunk_is_as_large_as_wanted_within_what_the_broker_announces(
    wanted: int, announced: int | None, chunk: int
) -> None:
    """None: it names no limit."""
    assert PacketRoom(wanted * KIB).connected(announced) == chunk


def test_what_a_broker_did_not_bear_is_tried_smaller_whatever_the_url_says() -> None:
    """A quarter at a time, and not below 4 KiB."""
    room, tried = PacketRoom(limits.MOST_CHUNK_BYTES), []
    for _ in range(6):
        tried.append(room.connected(None) // KIB)
        room.shrink()
    assert tried == [1024, 256, 64, 16, 4, 4]


def test_a_message_is_suspect_until_one_as_large_has_passed() -> None:
    """Packets of 1 MiB are suspect where only those of 256 KiB have passed."""
    room = PacketRoom(limits.MOST_CHUNK_BYTES)
    room.connected(None)
    for token, size in enumerate((256 * KIB, 1024 * KIB)):
        room.sent(token, size)
        assert room.suspect == size
        room.taken(token)
        assert room.suspect == 0
    room.sent(2, 1024 * KIB)
    assert room.suspect == 0


def test_a_message_that_the_broker_does_not_take_is_refused_here() -> None:
    """With its envelope a chunk of the room passes."""
    room = PacketRoom(limits.MOST_CHUNK_BYTES)
    chunk = room.connected(266_240)
    room.check(chunk + limits.PACKET_OVERHEAD_BYTES // 2)
    with pytest.raises(LinkError, match="exceeds the broker's maximum packet of 266240"):
        room.check(limits.MOST_CHUNK_BYTES)
