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


def chunk(data: bytes, plan: Outline, index: int) -> Chunk:
    """Chunk `index` of `data`."""
    start = index * plan.chunk_size
    return Chunk(id=plan.id, index=index, data=data[start : start + plan.chunk_size])


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


class Arrivals:
    """Which chunks of one transfer have arrived; where their data is kept is the owner's affair."""

    def __init__(self, plan: Outline) -> None:
        self.plan = plan
        self._missing = set(range(len(plan.chunks)))

    @property
    def missing(self) -> list[int]:
        """Indices of the chunks that are not here yet."""
        return sorted(self._missing)

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return not self._missing

    def bitmap(self) -> bytes:
        """The missing chunks, as Missing and Want carry them."""
        return bitmap(self._missing, len(self.plan.chunks))

    def add(self, piece: Chunk) -> bool:
        """Take one chunk; False when it is a repeat. Raises ProtocolError when it is not of this transfer."""
        plan = self.plan
        if piece.id != plan.id or piece.index >= len(plan.chunks):
            raise ProtocolError("a chunk of another transfer")
        expected = min(plan.chunk_size, plan.size - piece.index * plan.chunk_size)
        if len(piece.data) != expected:
            raise ProtocolError(f"chunk {piece.index} has {len(piece.data)} bytes, not {expected}")
        if hashlib.sha256(piece.data).digest() != plan.chunks[piece.index]:
            raise ProtocolError(f"chunk {piece.index} is damaged")
        new = piece.index in self._missing
        self._missing.discard(piece.index)
        return new


class Incoming(Arrivals):
    """One transfer with its data in memory."""

    def __init__(self, plan: Outline) -> None:
        super().__init__(plan)
        self._chunks: dict[int, bytes] = {}

    def add(self, piece: Chunk) -> bool:
        """Take one chunk and its data."""
        if new := super().add(piece):
            self._chunks[piece.index] = piece.data
        return new

    def data(self) -> bytes:
        """The whole. Raises ProtocolError when it is not complete or not what was announced."""
        if not self.complete:
            raise ProtocolError(f"{len(self.missing)} chunks are missing")
        whole = b"".join(self._chunks[i] for i in range(len(self.plan.chunks)))
        check(self.plan.id, whole)
        return whole


def check(id_: bytes, whole: bytes) -> None:
    """Raises ProtocolError unless the whole is what its id says."""
    if hashlib.sha256(whole).digest() != id_:
        raise ProtocolError("the whole is not what was announced")
