"""What a body holds of one tensor, and how its first bytes say so for each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.protocol.codec.golomb import Numbers
from fedfin.protocol.codec.reader import Reader

Tensors = dict[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]


class Kind(IntEnum):
    """What a value became; the number is what the body holds."""

    ABSENT = 0
    ZERO = 1  # every value of the tensor is zero: nothing more is written
    BITS1 = 2  # one of 2 levels, which lie at odd multiples of the tensor's scale: -1, 1
    BITS2 = 3  # -3, -1, 1, 3
    BITS3 = 4
    BITS4 = 5  # -15, -13, ..., 15
    FLOAT16 = 6
    FLOAT32 = 7

    @property
    def bits(self) -> int:
        """A level's bits; 0 for the kinds that have no levels."""
        return self - 1 if Kind.BITS1 <= self <= Kind.BITS4 else 0


_SPARSE = 8  # added to the kind of a tensor of which only some values are kept


_UNSCALED = np.float32(0)


@dataclass(frozen=True)
class Coded:
    """One tensor as its body holds it.

    `kept`: ascending positions of the values that are written; None when all are.
    `symbols`: one for each of them: a level's number, counted from the lowest, as uint8; or float16, or float32.
    `scale`: what levels are multiples of.
    """

    kind: Kind
    kept: Numbers | None = None
    symbols: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.uint8))
    scale: np.float32 = _UNSCALED


def size(shape: tuple[int, ...]) -> int:
    """How many values."""
    return math.prod(shape)


def write_kinds(coded: Mapping[str, Coded], shapes: Shapes) -> bytes:
    """Four bits for every name of `shapes` in order, the lower half of a byte first."""
    codes = np.zeros(len(shapes) + len(shapes) % 2, np.uint8)
    for i, name in enumerate(sorted(shapes)):
        if name in coded:
            codes[i] = coded[name].kind + (_SPARSE if coded[name].kept is not None else 0)
    return (codes[::2] | codes[1::2] << 4).tobytes()


def read_kinds(reader: Reader, shapes: Shapes) -> dict[str, tuple[Kind, bool]]:
    """(kind, whether it is sparse) of every tensor that is present. Raises ProtocolError for an unknown code."""
    packed = np.frombuffer(reader.take(-(-len(shapes) // 2)), np.uint8)
    codes: list[int] = np.stack((packed & 15, packed >> 4), axis=1).ravel().tolist()
    if any(code in (_SPARSE, _SPARSE + Kind.ZERO) for code in codes) or any(codes[len(shapes) :]):
        raise ProtocolError("a tensor body names an unknown kind of tensor")
    named = zip(sorted(shapes), codes, strict=False)
    return {name: (Kind(code % _SPARSE), code > _SPARSE) for name, code in named if code}
