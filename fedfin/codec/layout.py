"""What a body holds of one tensor, and how its first bytes say so for each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.codec.golomb import Numbers
from fedfin.codec.reader import Reader
from fedfin.errors import ProtocolError

Tensors = dict[str, NDArray[np.float32]]
Mask = NDArray[np.bool_]
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


class Kind(IntEnum):
    """What a value became."""

    ZERO = 0  # nothing: every value of the tensor is zero
    BITS1 = 1  # one of 2 levels, which lie at odd multiples of the tensor's scale: -1, 1
    BITS2 = 2  # -3, -1, 1, 3
    BITS3 = 3
    BITS4 = 4  # -15, -13, ..., 15
    FLOAT16 = 16
    FLOAT32 = 32

    @property
    def has_levels(self) -> bool:
        """Whether its symbols are levels, of as many bits as its number says."""
        return 0 < self <= 4  # noqa: PLR2004 - bits; members are looked up slowly


class Layout(Enum):
    """Which values of a tensor are written; the others are zero."""

    ALL = "all"
    MASK = "mask"  # those that a bit a value says
    GAPS = "gaps"  # fewer than a quarter: their positions are coded by the gaps between them


# The code of each form; 0 is a tensor that is not there.
FORMS: dict[tuple[Kind, Layout], int] = {
    (Kind.ZERO, Layout.ALL): 1,
    (Kind.BITS1, Layout.ALL): 2,
    (Kind.BITS2, Layout.ALL): 3,
    (Kind.BITS3, Layout.ALL): 4,
    (Kind.BITS4, Layout.ALL): 5,
    (Kind.FLOAT16, Layout.ALL): 6,
    (Kind.FLOAT32, Layout.ALL): 7,
    (Kind.FLOAT16, Layout.MASK): 8,
    (Kind.FLOAT32, Layout.MASK): 9,
    (Kind.BITS1, Layout.GAPS): 10,
    (Kind.FLOAT16, Layout.GAPS): 11,
    (Kind.FLOAT32, Layout.GAPS): 12,
    (Kind.BITS1, Layout.MASK): 13,
}
_BY_CODE = {code: form for form, code in FORMS.items()}
_UNSCALED = np.float32(0)


@dataclass(frozen=True)
class Coded:
    """One tensor as its body holds it.

    `symbols`: one a value written: a level's number, counted from the lowest, as uint8; or float16, or float32.
    `scale`: what levels are multiples of.
    `mask`: for each value whether it is written. `positions`: of the values written, ascending. Neither: all are.
    """

    kind: Kind
    symbols: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.uint8))
    scale: np.float32 = _UNSCALED
    mask: Mask | None = None
    positions: Numbers | None = None

    @property
    def layout(self) -> Layout:
        """How it is told which values are written."""
        if self.mask is not None:
            return Layout.MASK
        return Layout.ALL if self.positions is None else Layout.GAPS

    @property
    def written(self) -> Mask | Numbers | None:
        """An index of the values that are written; None for all."""
        return self.positions if self.mask is None else self.mask


def size(shape: tuple[int, ...]) -> int:
    """How many values."""
    return math.prod(shape)


def write_forms(coded: Mapping[str, Coded], shapes: Shapes) -> bytes:
    """Four bits for every name of `shapes` in order, the lower half of a byte first."""
    codes = np.zeros(len(shapes) + len(shapes) % 2, np.uint8)
    for i, name in enumerate(sorted(shapes)):
        if name in coded:
            codes[i] = FORMS[coded[name].kind, coded[name].layout]
    return (codes[::2] | codes[1::2] << 4).tobytes()


def read_forms(reader: Reader, shapes: Shapes) -> dict[str, tuple[Kind, Layout]]:
    """The form of every tensor that is there. Raises ProtocolError for an unknown code."""
    packed = reader.take(-(-len(shapes) // 2))
    codes = [code for byte in packed for code in (byte & 15, byte >> 4)]
    if any(code and code not in _BY_CODE for code in codes) or any(codes[len(shapes) :]):
        raise ProtocolError("a tensor body names an unknown form of tensor")
    return {name: _BY_CODE[code] for name, code in zip(sorted(shapes), codes, strict=False) if code}
