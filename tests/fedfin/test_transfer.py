"""Chunked transfer: whole and equal, or not there."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Chunk, Outline

SIZE = 1024


@given(st.data(), st.integers(1, 6 * SIZE))
@settings(max_examples=100, deadline=None)
def test_chunks_in_any_order_with_repeats_make_the_whole(data: st.DataObject, size: int) -> None:
    """Whatever the order, the bitmap tells what is missing, and the whole is there only at the end."""
    payload = (bytes(range(251)) * 30)[:size]
    plan = transfer.outline(payload, SIZE)
    count = len(plan.chunks)
    order = data.draw(st.lists(st.integers(0, count - 1), max_size=20))
    incoming = transfer.Incoming(plan)
    for index in order:
        incoming.add(transfer.chunk(payload, plan, index))
    missing = sorted(set(range(count)) - set(order))
    assert incoming.missing == missing
    assert transfer.indices(transfer.bitmap(missing, count), count) == missing
    if missing:
        with pytest.raises(ProtocolError, match=f"{len(missing)} chunks are missing"):
            incoming.data()
    for index in missing:
        incoming.add(transfer.chunk(payload, plan, index))
    assert incoming.complete
    assert incoming.data() == payload


PAYLOAD = b"a" * SIZE + b"b" * SIZE + b"c" * 10
PLAN = transfer.outline(PAYLOAD, SIZE)


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (Chunk(id=PLAN.id, index=1, data=b"b" * (SIZE - 1) + b"x"), "chunk 1 is damaged"),
        (Chunk(id=PLAN.id, index=1, data=b"b"), "1 bytes from chunk 1 on do not end"),
        (Chunk(id=PLAN.id, index=2, data=b"c" * 11), "11 bytes from chunk 2 on do not end"),
        (Chunk(id=PLAN.id, index=0, data=b"b" * SIZE), "chunk 0 is damaged"),
        (Chunk(id=PLAN.id, index=0, data=PAYLOAD + b"c"), "2059 bytes from chunk 0 on do not end"),
        (Chunk(id=PLAN.id, index=0, data=PAYLOAD[: SIZE + 1]), "1025 bytes from chunk 0 on do not end"),
        (Chunk(id=PLAN.id, index=0, data=b"x" + PAYLOAD[1:]), "chunk 0 is damaged"),
        (Chunk(id=PLAN.id, index=3, data=b"c" * 10), "another transfer"),
        (Chunk(id=bytes(32), index=0, data=b"a" * SIZE), "another transfer"),
    ],
)
def test_a_wrong_chunk_is_refused_and_changes_nothing(piece: Chunk, reason: str) -> None:
    """Damaged, cut otherwise, in another's place, or of another transfer."""
    incoming = transfer.Incoming(PLAN)
    with pytest.raises(ProtocolError, match=reason):
        incoming.add(piece)
    assert incoming.missing == [0, 1, 2]


@pytest.mark.parametrize(
    ("bits", "count"), [(b"\x08", 3), (b"\x00\x02", 9), (b"\xff", 9), (b"\x00\x00", 8), (b"", 1)]
)
def test_a_bitmap_that_does_not_fit_is_refused(bits: bytes, count: int) -> None:
    """A bit beyond the count, or another length."""
    with pytest.raises(ProtocolError, match=f"does not fit {count} chunks"):
        transfer.indices(bits, count)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, limits.CHUNKS])
def test_a_full_bitmap_names_every_chunk(count: int) -> None:
    """At the edges of bytes, and at the limit."""
    assert transfer.indices(transfer.bitmap(range(count), count), count) == list(range(count))


@given(st.sets(st.integers(0, 11)), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_runs_of_chunks_travel_together(wanted: set[int], most: int) -> None:
    """Whatever is wanted goes out in pieces of at most `most` neighbours, and nothing else does."""
    payload = bytes(range(251)) * 46  # twelve chunks, the last one shorter
    plan = transfer.outline(payload, SIZE)
    incoming = transfer.Incoming(plan)
    queue = sorted(wanted)
    while queue:
        count = transfer.leading_run(queue, most)
        assert 1 <= count <= most
        incoming.add(transfer.chunk(payload, plan, queue[0], count))
        queue = queue[count:]
    assert incoming.missing == sorted(set(range(12)) - wanted)


@pytest.mark.parametrize(
    ("size", "room", "grain"),
    [
        (1, 2**18, 2**15),
        (2**27, 2**18, 2**15),
        (2**27 + 1, 2**18, 2**16),
        (2**30, 2**18, 2**18),
        (5, 4096, 4096),
    ],
)
def test_the_grain_is_small_unless_the_whole_is_huge(size: int, room: int, grain: int) -> None:
    """32 KiB; more where the whole would have too many chunks; less where packets are small."""
    assert transfer.grain(size, room) == grain


def test_more_than_a_transfer_may_hold_is_not_cut_into_large_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers would refuse it, however few they are."""
    monkeypatch.setattr(limits, "TRANSFER_BYTES", 2**20)
    assert len(transfer.outline(bytes(2**20), limits.MOST_CHUNK_BYTES).chunks) == 1
    with pytest.raises(ProtocolError, match="1048577 bytes cannot travel"):
        transfer.outline(bytes(2**20 + 1), limits.MOST_CHUNK_BYTES)


@pytest.mark.parametrize("size", [1, 2**15, 2**15 + 1, 300_000])
def test_an_id_depends_on_the_bytes_alone(size: int) -> None:
    """Whatever the chunk size: a broker with other packets must not make another update of it."""
    payload = bytes(range(251)) * 1200
    ids = {transfer.outline(payload[:size], grain).id for grain in (1024, 5000, 2**15, 61_440, 2**16, 2**18)}
    assert len(ids) == 1
    assert transfer.outline(payload[:size] + b"\0").id not in ids


@pytest.mark.parametrize("size", [1, 39_000, 300_000])
@pytest.mark.parametrize("grain", [1024, 40_000, 2**15, 2**18])
def test_what_was_read_once_need_not_be_read_to_cut_it(size: int, grain: int) -> None:
    """Its leaves make the same outline; and each chunk's digest is that of the chunk's own leaves."""
    data = memoryview((bytes(range(251)) * 1200)[:size])
    plan = transfer.outline(bytes(data), grain)
    assert plan == transfer.outline(bytes(data), grain, transfer.leaves(data))
    cut = [data[start : start + grain] for start in range(0, size, grain)]
    assert list(plan.chunks) == [hashlib.sha256(transfer.leaves(chunk)).digest() for chunk in cut]


@pytest.mark.parametrize("grain", [1024, 5000, 2**15, 2**16])
def test_chunks_that_do_not_make_the_announced_whole_are_refused(grain: int) -> None:
    """Every chunk fits its digest, but the id is another's."""
    payload = bytes(range(251)) * 1200
    honest = transfer.outline(payload, grain)
    lie = Outline(id=PLAN.id, size=honest.size, chunk_size=grain, chunks=honest.chunks)
    incoming = transfer.Incoming(lie)
    for index in range(len(lie.chunks)):
        incoming.add(transfer.chunk(payload, lie, index))
    with pytest.raises(ProtocolError, match="not what was announced"):
        incoming.data()


@pytest.mark.parametrize("size", [0, limits.CHUNKS * SIZE + 1])
def test_what_no_transfer_can_carry_is_refused(size: int) -> None:
    """Nothing, or more than the greatest number of chunks."""
    with pytest.raises(ProtocolError, match="cannot travel"):
        transfer.outline(bytes(size), SIZE)
