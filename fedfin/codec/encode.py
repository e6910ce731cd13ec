"""What becomes of each tensor under a recipe."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import quantize
from fedfin.codec.golomb import Numbers
from fedfin.codec.layout import Coded, Kind
from fedfin.codec.presets import Recipe
from fedfin.codec.quantize import Floats
from fedfin.codec.select import largest

_FLOAT16_MAX = np.float32(65504)


def encode(flats: Mapping[str, Floats], recipe: Recipe) -> dict[str, Coded]:
    """Each array's form, in the same order. All values are finite and within `limits.VALUE_ABS`."""
    if recipe.kind == "ternary":
        return _ternary(flats, recipe)
    one = {"float32": _float32, "float16": _float16, "sign": _sign}[recipe.kind]
    return {name: one(flat) for name, flat in flats.items()}


def _float32(flat: Floats) -> Coded:
    return _skip_zeros(Kind.FLOAT32, flat.astype("<f4", copy=False), flat.view(np.uint32))


def _float16(flat: Floats) -> Coded:
    if flat.size and max(flat.max(), -flat.min()) > _FLOAT16_MAX:
        flat = np.clip(flat, -_FLOAT16_MAX, _FLOAT16_MAX)
    half = flat.astype("<f2")
    return _skip_zeros(Kind.FLOAT16, half, half)


def _skip_zeros(kind: Kind, symbols: NDArray[Any], nonzero: NDArray[Any]) -> Coded:
    """A mask costs a bit a value; gaps cost less where fewer than an eighth are kept, but take longer to find."""
    count = np.count_nonzero(nonzero)
    if not count:
        return Coded(Kind.ZERO)
    if 8 * count > 7 * symbols.size:
        return Coded(kind, symbols)
    mask = nonzero != 0
    if 8 * count >= symbols.size:
        return Coded(kind, symbols[mask], mask=mask)
    positions = np.flatnonzero(mask)
    return Coded(kind, symbols[positions], positions=positions)


def _sign(flat: Floats) -> Coded:
    return _levels(flat, Kind.BITS1, quantize.mean_magnitude(flat))


def _levels(flat: Floats, kind: Kind, mean: float) -> Coded:
    """A level for each value. Nothing is sent when `mean`, of their magnitudes, is too small to be written."""
    if not (scale := quantize.scale(mean, kind)):
        return Coded(Kind.ZERO)
    return Coded(kind, quantize.to_levels(flat, kind, scale), scale)


def _ternary(flats: Mapping[str, Floats], recipe: Recipe) -> dict[str, Coded]:
    """The largest values' signs; tensors of which a quarter or more would be kept are written whole, and finer.

    For those a sign for each costs no more than positions. They get at most one bit for each value that is kept
    anywhere, an eighth of the body; the smallest first.
    """
    kept, threshold = largest(list(flats.values()), recipe.keep)
    places = dict(zip(flats, kept, strict=True))
    left = sum(map(len, kept))
    coded: dict[str, Coded] = {}
    for name in sorted(flats, key=lambda name: (flats[name].size, name)):
        flat = flats[name]
        coded[name] = _signs(flat, places[name], recipe.gain)
        if flat.size <= 4 * len(places[name]):
            mean = quantize.mean_magnitude(flat)
            kind = quantize.fineness(mean, float(threshold))
            if flat.size * kind <= left:
                left -= flat.size * kind
                coded[name] = _levels(flat, kind, mean)
    return {name: coded[name] for name in flats}


def _signs(flat: Floats, positions: Numbers, gain: float) -> Coded:
    """The signs at these positions, with a mask where those are many."""
    some = flat[positions]
    signs = _levels(some, Kind.BITS1, gain * quantize.mean_magnitude(some))
    if signs.kind == Kind.ZERO:
        return signs
    if flat.size > 4 * len(positions):
        return replace(signs, positions=positions)
    mask = np.zeros(flat.size, np.bool_)
    mask[positions] = True
    return replace(signs, mask=mask)
