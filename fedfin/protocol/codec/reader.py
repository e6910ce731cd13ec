"""Reading a body from its start to its end, never beyond."""

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError

_MORE = 128  # LEB128's bit that says another byte follows


class Reader:
    """The bytes not yet read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are not yet read."""
        return len(self._data) - self._at

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, not copied. Raises ProtocolError when there are fewer."""
        if count > self.left:
            raise ProtocolError(f"a tensor body ends early: {count} bytes are needed, {self.left} are left")
        self._at += count
        return memoryview(self._data)[self._at - count : self._at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def number(self, most: int) -> int:
        """An unsigned LEB128 number in its shortest form. Raises ProtocolError when it exceeds `most`."""
        value = 0
        for shift in range(0, 64, 7):
            byte = self.byte()
            value |= (byte % _MORE) << shift
            if byte < _MORE:
                if value > most or (byte == 0 and shift):
                    break
                return value
        raise ProtocolError(f"a number in a tensor body exceeds {most} or is not in its shortest form")

    def bits(self, count: int) -> NDArray[np.uint8]:
        """The next `count` bits as 0 and 1, lowest of each byte first, filled up to whole bytes with zeros."""
        packed = np.frombuffer(self.take(-(-count // 8)), np.uint8)
        if count % 8 and packed[-1] >> (count % 8):
            raise ProtocolError("a tensor body has bits beyond the last value")
        return np.unpackbits(packed, count=count, bitorder="little")

    def end(self) -> None:
        """Raises ProtocolError when bytes are left."""
        if self.left:
            raise ProtocolError(f"a tensor body has {self.left} bytes too many")


def number(value: int) -> bytes:
    """Unsigned LEB128 of a number below 2^63."""
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE + _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def bits(flags: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    """Eight flags a byte, lowest bit first."""
    return np.packbits(flags, bitorder="little").tobytes()
