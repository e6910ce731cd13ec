"""How each tensor of a body is written: one method each, in the order of the tensors' names."""

import math
from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.protocol.codec.reader import Reader

Tensors = dict[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]


class Method(IntEnum):
    """What a tensor's values became; the number is what the body holds."""

    ABSENT = 0
    TERNARY = 1  # a sign for some, zero for the others, one scale
    SIGN = 2  # a sign for each, one scale
    SPARSE16 = 3  # float16 for some, zero for the others
    DENSE16 = 4
    SPARSE32 = 5
    DENSE32 = 6


SPARSE = frozenset({Method.TERNARY, Method.SPARSE16, Method.SPARSE32})
SCALED = frozenset({Method.TERNARY, Method.SIGN})

Methods = dict[str, Method]


def write_methods(methods: Methods, shapes: Shapes) -> bytes:
    """Four bits for every name of `shapes`, the lower half of a byte first."""
    codes = np.zeros(len(shapes) + len(shapes) % 2, np.uint8)
    codes[: len(shapes)] = [methods.get(name, Method.ABSENT) for name in sorted(shapes)]
    return (codes[::2] | codes[1::2] << 4).tobytes()


def read_methods(reader: Reader, shapes: Shapes) -> Methods:
    """The method of every tensor that is present. Raises ProtocolError for an unknown one."""
    packed = np.frombuffer(reader.take(-(-len(shapes) // 2)), np.uint8)
    codes = np.stack((packed & 15, packed >> 4), axis=1).ravel().tolist()
    if any(code > max(Method) for code in codes) or any(codes[len(shapes) :]):
        raise ProtocolError("a tensor body names an unknown method")
    return {
        name: Method(code) for name, code in zip(sorted(shapes), codes, strict=False) if code != Method.ABSENT
    }


def size(shape: tuple[int, ...]) -> int:
    """How many values."""
    return math.prod(shape)
