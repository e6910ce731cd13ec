"""Reading a body from its start to its end, never beyond; and how its numbers and bits are written."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError

Bits = NDArray[np.uint8]  # one bit each, 0 or 1
_Word = TypeVar("_Word", np.int64, np.uint8)
_MORE = 128  # LEB128's bit that says another byte follows


class Reader:
    """The bytes not yet read."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, not copied. Raises ProtocolError when there are fewer."""
        left = len(self._data) - self._at
        if count > left:
            raise ProtocolError(f"a tensor body ends early: {count} bytes are needed, {left} are left")
        self._at += count
        return self._data[self._at - count : self._at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def number(self, most: int) -> int:
        """An unsigned LEB128 number in its shortest form. Raises ProtocolError when it exceeds `most`."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.byte()
            value |= byte % _MORE << shift
            if byte < _MORE:
                if value > most or (byte == 0 and shift):
                    break
                return value
        raise ProtocolError(f"a number in a tensor body exceeds {most} or is not in its shortest form")

    def bits(self, count: int) -> Bits:
        """The next `count` bits, lowest of each byte first, filled up to whole bytes with zeros."""
        packed = np.frombuffer(self.take(-(-count // 8)), np.uint8)
        if count % 8 and packed[-1] >> (count % 8):
            raise ProtocolError("a tensor body has bits beyond the last value")
        return np.unpackbits(packed, count=count, bitorder="little")

    def end(self) -> None:
        """Raises ProtocolError when bytes are left."""
        if self._at < len(self._data):
            raise ProtocolError(f"a tensor body has {len(self._data) - self._at} bytes too many")


def number(value: int) -> bytes:
    """Unsigned LEB128 of a number below 2^63."""
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE + _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack(flags: Bits | NDArray[np.bool_]) -> bytes:
    """Eight bits a byte, lowest first, filled up with zeros."""
    return np.packbits(flags, bitorder="little").tobytes()


def words_to_bits(words: NDArray[_Word], width: int) -> Bits:
    """The lowest `width` bits of each word, plane by plane: the lowest of every word, then the next of every word."""
    planes = np.empty((width, len(words)), np.uint8)
    for place in range(width):
        planes[place] = words >> words.dtype.type(place) & 1
    return planes.ravel()


def bits_to_words(bits: Bits, count: int, width: int, dtype: type[_Word]) -> NDArray[_Word]:
    """The reverse: `count` words from `count * width` bits."""
    words = np.zeros(count, dtype)
    for place, plane in enumerate(bits.reshape(width, count)):
        words |= plane.astype(dtype) << dtype(place)
    return words
