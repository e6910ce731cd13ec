"""Values to levels and back.

Levels lie at odd multiples of a scale, which travels as the upper half of a float32 (8 significant bits). So every
decoded value is an exact float32, and no arithmetic rounds it. What decides a byte is integer arithmetic, or one
IEEE operation a value: a sum of floats could depend on the order in which a processor's vector units add.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec.layout import Kind
from fedfin.errors import ProtocolError

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]
# Half of the best uniform quantizer's step for a normal distribution (Max 1960, table II: 1.596, 0.9957, 0.5860 and
# 0.3352 standard deviations), in units of its mean magnitude, sqrt(2 / pi) standard deviations.
HALF_STEP = {Kind.BITS1: 1.0, Kind.BITS2: 0.624, Kind.BITS3: 0.367, Kind.BITS4: 0.21}
_COARSEST = 1.15  # thresholds that half a step may be
_BLOCK = 1 << 16  # values at once: what a cache holds
_FIXED_BITS = 30


def mean_magnitude(flat: Floats) -> float:
    """The mean of |x|, the same on every processor: each is cut down to an integer, and integers are summed."""
    if not flat.size or not (top := float(max(flat.max(), -flat.min()))):
        return 0.0
    # 2^127 is float32's largest power of two. Magnitudes below 2^-97 lose digits with it, those below 2^-127 all.
    shift = min(_FIXED_BITS - math.frexp(top)[1], 127)
    total = 0
    for start in range(0, flat.size, _BLOCK):
        fixed = (np.abs(flat[start : start + _BLOCK]) * np.float32(2.0**shift)).astype(np.int32)
        total += int(fixed.sum(dtype=np.int64))
    return math.ldexp(total / flat.size, -shift)


def fineness(mean: float, threshold: float) -> Kind:
    """The fewest bits whose half step is about `threshold`, below which a sparse tensor would keep nothing."""
    kinds = (kind for kind, half_step in HALF_STEP.items() if half_step * mean <= _COARSEST * threshold)
    return next(kinds, Kind.BITS4)


def scale(mean: float, kind: Kind) -> np.float32:
    """The scale of levels for values of this mean magnitude; 0 when it is too small to be one.

    The outermost level stays within `limits.VALUE_ABS`.
    """
    bits = int(np.float32(mean * HALF_STEP[kind]).view(np.uint32))
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # to the nearest, ties to even
    return _from_upper(min(upper, _most(kind)))


def write_scale(scale: np.float32) -> bytes:
    """Two bytes."""
    return (int(scale.view(np.uint32)) >> 16).to_bytes(2, "little")


def read_scale(data: bytes | memoryview, kind: Kind) -> np.float32:
    """The scale in two bytes. Raises ProtocolError when it is not above 0, or a level exceeds `limits.VALUE_ABS`."""
    upper = int.from_bytes(data, "little")
    if not 0 < upper <= _most(kind):
        raise ProtocolError("a tensor body holds a scale that is out of bounds")
    return _from_upper(upper)


def _most(kind: Kind) -> int:
    return int(np.float32(limits.VALUE_ABS / (2**kind - 1)).view(np.uint32)) >> 16


def _from_upper(upper: int) -> np.float32:
    return np.float32(np.array([upper << 16], np.uint32).view(np.float32)[0])


def to_levels(flat: Floats, kind: Kind, scale: np.float32) -> Levels:
    """The number of the nearest level, counted from the lowest."""
    if kind == Kind.BITS1:
        signs: Levels = (flat >= 0).view(np.uint8)
        return signs
    half: int = 2 ** (kind - 1)
    steps: Floats = np.clip(np.floor(flat / (2 * scale)), -half, half - 1)
    return (steps + half).astype(np.uint8)


def from_levels(levels: Levels, kind: Kind, scale: np.float32) -> Floats:
    """The levels' values."""
    odd = levels.view(np.int8) * np.int8(2) - np.int8(2**kind - 1)
    return odd.astype(np.float32) * scale
