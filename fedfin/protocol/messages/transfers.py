"""How one byte string travels: offered, asked for chunk by chunk, and answered by a receipt (transfer.py)."""

from typing import Annotated, ClassVar

import msgspec

from fedfin import limits
from fedfin.protocol.fields import Bitmap, Boot, Count, Id, Reason, Signature
from fedfin.protocol.messages.message import Message

Size = Annotated[int, msgspec.Meta(ge=1, le=limits.TRANSFER_BYTES)]
ChunkSize = Annotated[int, msgspec.Meta(ge=1024, le=limits.MOST_CHUNK_BYTES)]
ChunkDigests = Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=limits.CHUNKS)]


class Outline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one byte string travels: its `id`, size and chunks, each with its own digest (transfer.py)."""

    id: Id
    size: Size
    chunk_size: ChunkSize
    chunks: ChunkDigests

    def __post_init__(self) -> None:
        if len(self.chunks) != -(-self.size // self.chunk_size):
            raise ValueError("the number of chunk digests does not fit size and chunk_size")


class Begin(Message, frozen=True):
    """A site offers an update for `round`, or asks again where it stands: the answer is Missing or a Receipt.

    `consent`: with masked values, a signature ahead that all who have dealt are in the sum (messages/secure_sums.py).
    """

    private: ClassVar[bool] = False
    run: Boot
    round: Count
    outline: Outline
    consent: Signature | msgspec.UnsetType = msgspec.UNSET


class Missing(Message, frozen=True):
    """Which chunks of an update the aggregator still lacks: bit i of byte i // 8, lowest bit first."""

    private: ClassVar[bool] = False
    id: Id
    bitmap: Bitmap


class Chunk(Message, frozen=True):
    """A piece of a transfer: the bytes of chunk `index`, and maybe of the chunks that follow it."""

    id: Id
    index: Annotated[int, msgspec.Meta(ge=0, lt=limits.CHUNKS)]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MOST_CHUNK_BYTES)]


class Receipt(Message, frozen=True):
    """The durable answer to an update. Repeats get the same one again."""

    id: Id
    accepted: bool
    reason: Reason = ""
