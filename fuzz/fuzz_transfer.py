"""Chunks of a transfer in any order, cut anywhere, and bitmaps of what is missing."""

import contextlib

from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Chunk
from fuzz.scratch import REFUSED

WHOLE = bytes(range(256)) * 20
OUTLINE = transfer.outline(WHOLE, 1024)


def fuzz(data: bytes) -> None:
    """Whatever comes, the whole is what was announced or is not there."""
    incoming = transfer.Incoming(OUTLINE)
    for at in range(0, len(data) - 3, 4):
        index, start, length = data[at], data[at + 1] * 20, data[at + 2] * 20 + 1
        piece = WHOLE[start : start + length] or data[at : at + 4]
        with contextlib.suppress(REFUSED):
            incoming.add(Chunk(id=OUTLINE.id, index=index, data=piece))
    with contextlib.suppress(REFUSED):
        assert incoming.data() == WHOLE
    with contextlib.suppress(REFUSED):
        transfer.indices(data, len(data) * 8 - (data[0] % 8 if data else 0))
