"""An update on its way up, in packets of the size that its link has room for."""

import pytest

from fedfin import limits
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Chunk, Missing
from fedfin.protocol.outgoing import Outgoing

PAYLOAD = bytes(range(251)) * 40_000  # 10 MB


def delivered(outgoing: Outgoing) -> tuple[transfer.Incoming, list[int]]:
    """What has come at the end of a fast link, and the sizes of the packets; the window holds all the while."""
    begin = outgoing.offer("0" * 16, 2, PAYLOAD)
    incoming, sizes, now = transfer.Incoming(begin.outline), [], 0.0
    under_way: list[Chunk] = outgoing.missing(Missing(id=begin.outline.id, bitmap=incoming.bitmap()), now)
    while under_way:
        assert sum(len(piece.data) for piece in under_way) <= limits.WINDOW * limits.CHUNK_BYTES
        piece = under_way.pop(0)
        now += len(piece.data) / 100e6
        incoming.add(piece)
        sizes.append(len(piece.data))
        under_way += outgoing.published(now)
    return incoming, sizes


@pytest.mark.parametrize("kib", [4, 64, 100, 256, 300, 1000, 1024])
def test_packets_are_as_large_as_there_is_room(kib: int) -> None:
    """In whole chunks; every byte arrives."""
    outgoing = Outgoing()
    outgoing.connected(kib * 1024)
    incoming, sizes = delivered(outgoing)
    grain = incoming.plan.chunk_size
    assert grain == min(kib * 1024, limits.UP_CHUNK_BYTES)
    assert max(sizes) == kib * 1024 // grain * grain
    assert incoming.data() == PAYLOAD


def test_no_broker_makes_packets_larger_than_others_take() -> None:
    """However much room it has."""
    outgoing = Outgoing()
    outgoing.connected(2**28)
    _, sizes = delivered(outgoing)
    assert max(sizes) == limits.MOST_CHUNK_BYTES
