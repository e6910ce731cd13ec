"""Chunked transfer of one byte string, both directions: pure bookkeeping, no I/O.

The sender outlines the bytes (size, SHA-256 of the whole and of each chunk); the receiver answers with a
bitmap of what is missing; whatever order, loss or repetition the chunks suffer, the whole is either
complete and equal to its digest, or not there.
"""

import hashlib
from collections.abc import Iterable

from fedfin.errors import ProtocolError
from fedfin.protocol import limits
from fedfin.protocol.messages import Chunk, Outline


def outline(data: bytes, chunk_size: int = limits.CHUNK_BYTES) -> Outline:
    """How `data` will travel. Raises ProtocolError when it exceeds what one transfer can carry."""
    count = -(-len(data) // chunk_size)
    if not 1 <= count <= limits.CHUNKS:
        raise ProtocolError(f"{len(data)} bytes cannot travel in 1 to {limits.CHUNKS} chunks of {chunk_size}")
    view = memoryview(data)
    digests = (hashlib.sha256(view[i * chunk_size : (i + 1) * chunk_size]).digest() for i in range(count))
    return Outline(
        id=hashlib.sha256(data).digest(), size=len(data), chunk_size=chunk_size, chunks=tuple(digests)
    )


def grain(size: int, room: int) -> int:
    """The chunk size for `size` bytes on their way up, in packets that have `room` for chunks."""
    least = limits.UP_CHUNK_BYTES
    while size > least * limits.CHUNKS:
        least *= 2
    return min(least, room)


def chunk(data: bytes, plan: Outline, index: int, count: int = 1) -> Chunk:
    """`count` chunks of `data` in one piece, from chunk `index` on."""
    start = index * plan.chunk_size
    return Chunk(id=plan.id, index=index, data=data[start : start + count * plan.chunk_size])


def leading_run(queue: list[int], most: int) -> int:
    """How many of the ascending indices at the front of `queue` follow each other without a gap, at most `most`."""
    count = 1
    while count < min(len(queue), most) and queue[count] == queue[0] + count:
        count += 1
    return count


def bitmap(indices: Iterable[int], count: int) -> bytes:
    """Bit i of byte i // 8, lowest bit first, for each index."""
    bits = bytearray(-(-count // 8))
    for index in indices:
        bits[index // 8] |= 1 << (index % 8)
    return bytes(bits)


def indices(bits: bytes, count: int) -> list[int]:
    """The indices below `count` whose bit is set.

    Raises ProtocolError when the bitmap has another length, or a bit beyond `count`.
    """
    if len(bits) != -(-count // 8) or (count % 8 and bits[-1] >> (count % 8)):
        raise ProtocolError(f"the bitmap does not fit {count} chunks")
    return [i for i in range(count) if bits[i // 8] >> (i % 8) & 1]


class Incoming:
    """What has arrived of one transfer."""

    def __init__(self, plan: Outline) -> None:
        self.plan = plan
        self._data = bytearray(plan.size)
        self._here: set[int] = set()

    @property
    def missing(self) -> list[int]:
        """Indices of the chunks that are not here yet."""
        return [i for i in range(len(self.plan.chunks)) if i not in self._here]

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return len(self._here) == len(self.plan.chunks)

    def bitmap(self) -> bytes:
        """The missing chunks, as Missing and Want carry them."""
        return bitmap(self.missing, len(self.plan.chunks))

    def add(self, piece: Chunk) -> None:
        """Take its chunks; a repeat changes nothing. Raises ProtocolError when they are not of this transfer."""
        plan, data = self.plan, memoryview(piece.data)
        if piece.id != plan.id or piece.index >= len(plan.chunks):
            raise ProtocolError("a chunk of another transfer")
        start = piece.index * plan.chunk_size
        if len(data) > plan.size - start or (len(data) % plan.chunk_size and start + len(data) != plan.size):
            raise ProtocolError(
                f"{len(data)} bytes from chunk {piece.index} on do not end where a chunk ends"
            )
        for index in range(piece.index, piece.index + -(-len(data) // plan.chunk_size)):
            chunk_, data = data[: plan.chunk_size], data[plan.chunk_size :]
            if hashlib.sha256(chunk_).digest() != plan.chunks[index]:
                raise ProtocolError(f"chunk {index} is damaged")
            self._data[index * plan.chunk_size : index * plan.chunk_size + len(chunk_)] = chunk_
            self._here.add(index)

    def data(self) -> bytes:
        """The whole. Raises ProtocolError when it is not complete or not what was announced."""
        if not self.complete:
            raise ProtocolError(f"{len(self.missing)} chunks are missing")
        whole = bytes(self._data)
        if hashlib.sha256(whole).digest() != self.plan.id:
            raise ProtocolError("the whole is not what was announced")
        return whole
