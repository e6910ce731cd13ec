"""What becomes of each tensor under a recipe; `restore` and `rest` undo it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.protocol.codec import quantize
from fedfin.protocol.codec.golomb import Numbers
from fedfin.protocol.codec.layout import Coded, Kind
from fedfin.protocol.codec.presets import Recipe
from fedfin.protocol.codec.quantize import Floats
from fedfin.protocol.codec.select import largest

_FLOAT16_MAX = np.float32(65504)


def encode(flats: Mapping[str, Floats], recipe: Recipe) -> dict[str, Coded]:
    """Each flat array's form. All values are finite and within `limits.VALUE_ABS`."""
    if recipe.kind == "ternary":
        return _ternary(flats, recipe.keep, recipe.gain)
    one = {"float32": _float32, "float16": _float16, "sign": _sign}[recipe.kind]
    return {name: one(flat) for name, flat in flats.items()}


def _float32(flat: Floats) -> Coded:
    raw = flat.view(np.uint32)
    return _skip_zeros(Kind.FLOAT32, flat.astype("<f4", copy=False), raw)


def _float16(flat: Floats) -> Coded:
    half = np.clip(flat, -_FLOAT16_MAX, _FLOAT16_MAX).astype("<f2")
    return _skip_zeros(Kind.FLOAT16, half, half.view(np.uint16) & 0x7FFF)


def _skip_zeros(kind: Kind, symbols: NDArray[Any], bits: NDArray[Any]) -> Coded:
    """Sparse where the positions of what is not zero cost less than the zeros do: at most a bit and a half a value."""
    kept = np.count_nonzero(bits)
    if not kept:
        return Coded(Kind.ZERO)
    if kept > symbols.size * 3 // 4:
        return Coded(kind, None, symbols)
    where = np.flatnonzero(bits)
    return Coded(kind, where, symbols[where])


def _sign(flat: Floats) -> Coded:
    return _levels(flat, Kind.BITS1, quantize.mean_magnitude(flat))


def _levels(flat: Floats, kind: Kind, mean: float, kept: Numbers | None = None) -> Coded:
    """`mean`: the mean magnitude of the values that are kept."""
    if not (scale := quantize.scale(mean, kind)):
        return Coded(Kind.ZERO)
    some = flat if kept is None else flat[kept]
    return Coded(kind, kept, quantize.to_levels(some, kind, scale), scale)


def _ternary(flats: Mapping[str, Floats], keep: float, gain: float) -> dict[str, Coded]:
    kept, threshold = largest(list(flats.values()), keep)
    budget = sum(map(len, kept))
    coded = {}
    for (name, flat), where in sorted(
        zip(flats.items(), kept, strict=True), key=lambda item: item[0][1].size
    ):
        if 4 * len(where) >= flat.size:
            mean = quantize.mean_magnitude(flat)
            kind = _fineness(mean, threshold)
            if flat.size * kind.bits <= budget:
                budget -= flat.size * kind.bits
                coded[name] = _levels(flat, kind, mean)
                continue
        coded[name] = _levels(flat, Kind.BITS1, gain * quantize.mean_magnitude(flat[where]), where)
    return {name: coded[name] for name in flats}


def _fineness(mean: float, threshold: np.float32) -> Kind:
    for kind, step in quantize.HALF_STEP.items():
        if step * mean <= 1.15 * float(threshold):
            return kind
    return Kind.BITS4
