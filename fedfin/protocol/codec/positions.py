"""Where the values are that are not zero: ascending positions to bytes and back."""

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.protocol.codec.reader import Reader, bits, number

Positions = NDArray[np.int64]
_LOW_BITS = 40


def encode_positions(positions: Positions, span: int) -> bytes:
    """`positions`: ascending, all different, below `span`."""
    count = len(positions)
    if not count:
        return number(0)
    gaps = np.diff(positions, prepend=np.int64(-1)) - 1
    low = max((span // count * 45 >> 6).bit_length() - 1, 0)
    unary = np.zeros(int((gaps >> low).sum()) + count, np.uint8)
    unary[np.cumsum((gaps >> low) + 1) - 1] = 1
    planes = (gaps[:, None] >> np.arange(low)) & 1
    return (
        number(count)
        + bytes([low])
        + number(len(unary))
        + bits(unary)
        + bits(planes.astype(np.uint8).ravel())
    )


def decode_positions(reader: Reader, span: int) -> Positions:
    """Raises ProtocolError when they are not below `span`."""
    count = reader.number(span)
    if not count:
        return np.zeros(0, np.int64)
    low = reader.byte()
    if low > _LOW_BITS:
        raise ProtocolError("positions beyond the tensor")
    length = reader.number(8 * reader.left)
    ends = np.flatnonzero(reader.bits(length))
    if len(ends) != count or ends[-1] != length - 1:
        raise ProtocolError("positions do not match their number")
    if reader.left * 8 < count * low:
        raise ProtocolError("a tensor body ends early")
    high = np.diff(ends, prepend=-1) - 1
    planes = reader.bits(count * low).reshape(count, low).astype(np.int64)
    gaps = (high << low) + (planes << np.arange(low)).sum(axis=1)
    if (int(high.sum()) << low) > span:
        raise ProtocolError("positions beyond the tensor")
    positions: Positions = np.cumsum(gaps + 1) - 1
    if positions[-1] >= span:
        raise ProtocolError("positions beyond the tensor")
    return positions
