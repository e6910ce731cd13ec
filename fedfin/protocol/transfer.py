"""Chunked transfer of one byte string, both directions: pure bookkeeping, no I/O.

The sender outlines the bytes (size, digest of the whole and of each chunk); the receiver answers with a
bitmap of what is missing; whatever order, loss or repetition the chunks suffer, the whole is either
complete and equal to its digest, or not there.

A digest is the SHA-256 of leaves, which are the SHA-256 of each 32 KiB; the whole's begins with its size. So it does
not depend on the chunk size, and what was read once to check a chunk need not be read again to check the whole.
"""

import hashlib
from collections.abc import Iterable

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.protocol.messages.transfers import Chunk, Outline

LEAF_BYTES = limits.UP_CHUNK_BYTES
_DIGEST_BYTES = hashlib.sha256().digest_size
ANOTHER = "the whole is not what was announced"


def leaves(data: memoryview) -> bytes:
    """The SHA-256 of each 32 KiB of `data`, joined."""
    blocks = range(0, len(data), LEAF_BYTES)
    return b"".join(hashlib.sha256(data[start : start + LEAF_BYTES]).digest() for start in blocks)


def identity(size: int, whole: bytes) -> bytes:
    """The id of `size` bytes that have the leaves `whole`."""
    return hashlib.sha256(size.to_bytes(8, "big") + whole).digest()


def whole_id(data: bytes) -> bytes:
    """The id of `data`: what its outline says, for whatever chunk size."""
    return identity(len(data), leaves(memoryview(data)))


def _aligned(size: int, chunk_size: int) -> bool:
    """Whether the leaves of the chunks are those of the whole."""
    return size <= chunk_size or chunk_size % LEAF_BYTES == 0


def outline(data: bytes, chunk_size: int = limits.CHUNK_BYTES, known: bytes = b"") -> Outline:
    """How `data` will travel. `known`: its leaves, when they were made before.

    Raises ProtocolError when it exceeds what one transfer can carry.
    """
    count = -(-len(data) // chunk_size)
    if not 1 <= count <= limits.CHUNKS or len(data) > limits.TRANSFER_BYTES:
        raise ProtocolError(
            f"{len(data)} bytes cannot travel in 1 to {limits.CHUNKS} chunks of {chunk_size}, or exceed"
            f" {limits.TRANSFER_BYTES}"
        )
    view = memoryview(data)
    whole = known or leaves(view)
    if _aligned(len(data), chunk_size):
        step = _DIGEST_BYTES * -(-chunk_size // LEAF_BYTES)
        parts = [whole[i * step : (i + 1) * step] for i in range(count)]
    else:
        parts = [leaves(view[i * chunk_size : (i + 1) * chunk_size]) for i in range(count)]
    digests = tuple(hashlib.sha256(part).digest() for part in parts)
    return Outline(id=identity(len(data), whole), size=len(data), chunk_size=chunk_size, chunks=digests)


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


class Arrivals:
    """Which chunks of one transfer have arrived; where their data is kept is the owner's affair."""

    def __init__(self, plan: Outline) -> None:
        self.plan = plan
        self._leaves: dict[int, bytes] = {}  # of each chunk that is here

    @property
    def missing(self) -> list[int]:
        """Indices of the chunks that are not here yet."""
        return [i for i in range(len(self.plan.chunks)) if i not in self._leaves]

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return len(self._leaves) == len(self.plan.chunks)

    def bitmap(self) -> bytes:
        """The missing chunks, as Missing and Want carry them."""
        return bitmap(self.missing, len(self.plan.chunks))

    def add(self, piece: Chunk) -> bool:
        """Take its chunks, all or none; False when all are repeats.

        Raises ProtocolError when they are not of this transfer.
        """
        plan, data = self.plan, memoryview(piece.data)
        if piece.id != plan.id or piece.index >= len(plan.chunks):
            raise ProtocolError("a chunk of another transfer")
        start = piece.index * plan.chunk_size
        if len(data) > plan.size - start or (len(data) % plan.chunk_size and start + len(data) != plan.size):
            raise ProtocolError(
                f"{len(data)} bytes from chunk {piece.index} on do not end where a chunk ends"
            )
        found = {}
        for index in range(piece.index, piece.index + -(-len(data) // plan.chunk_size)):
            chunk_, data = data[: plan.chunk_size], data[plan.chunk_size :]
            found[index] = leaves(chunk_)
            if hashlib.sha256(found[index]).digest() != plan.chunks[index]:
                raise ProtocolError(f"chunk {index} is damaged")
        new = not found.keys() <= self._leaves.keys()
        self._leaves |= found
        return new

    def check(self) -> bool:
        """Whether the whole is known to be what was announced; False: only its data can tell (see `check`).

        Raises ProtocolError when it is not complete, or known to be something else.
        """
        if not self.complete:
            raise ProtocolError(f"{len(self.missing)} chunks are missing")
        if not _aligned(self.plan.size, self.plan.chunk_size):
            return False
        whole = b"".join(self._leaves[index] for index in range(len(self.plan.chunks)))
        if identity(self.plan.size, whole) != self.plan.id:
            raise ProtocolError(ANOTHER)
        return True


class Incoming(Arrivals):
    """One transfer with its data in memory."""

    def __init__(self, plan: Outline) -> None:
        super().__init__(plan)
        self._data = bytearray(plan.size)

    def add(self, piece: Chunk) -> bool:
        """Take its chunks and their data."""
        if new := super().add(piece):
            start = piece.index * self.plan.chunk_size
            self._data[start : start + len(piece.data)] = piece.data
        return new

    def data(self) -> bytes:
        """The whole. Raises ProtocolError when it is not complete or not what was announced."""
        known = self.check()
        whole = bytes(self._data)
        if not known:
            check(self.plan.id, whole)
        return whole


def check(id_: bytes, whole: bytes) -> None:
    """Raises ProtocolError unless the whole is what its id says."""
    if identity(len(whole), leaves(memoryview(whole))) != id_:
        raise ProtocolError(ANOTHER)
