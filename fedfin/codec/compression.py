"""A set of tensors as one string of bytes, and back: `compress` and `decompress`. docs/codec.md is the format."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from fedfin import limits
from fedfin.codec.encode import encode
from fedfin.codec.layout import Coded, Kind, Shapes, Tensors, size
from fedfin.codec.presets import PRESETS, Preset
from fedfin.codec.quantize import Floats, from_levels
from fedfin.codec.wire import read, read_whole, write
from fedfin.errors import ProtocolError

# numpy 1.26 warns of some NaNs, which are refused here. Once for all tensors of a body: of small ones it is a third.
_NO_WARNINGS = partial(np.errstate, invalid="ignore")
_TOGETHER_BYTES = 256 * 1024  # of larger bodies no part is to keep the whole in memory


@dataclass(frozen=True)
class Compressed:
    """`body`: what travels. `residual`: for each tensor, its values less what `decompress(body)` yields.

    A tensor that travels without loss has no residual.
    """

    body: bytes
    residual: Tensors


def compress(values: Tensors, shapes: Shapes, preset: Preset) -> Compressed:
    """`values`: float32 of the shapes that `shapes` gives; those that are lacking do not travel.

    A magnitude above `limits.VALUE_ABS` is cut down to it; the residual has the rest.
    Raises ProtocolError: a tensor that `shapes` does not have so, or that holds a value that is not finite.
    """
    flats = {name: _flat(name, values[name], shapes) for name in sorted(values)}
    with _NO_WARNINGS():
        clipped = {name: _clip(name, flat) for name, flat in flats.items() if not _is_bounded(flat)}
    coded = encode(flats | clipped, PRESETS[preset])
    lossy = clipped if PRESETS[preset].kind == "float32" else flats
    return Compressed(write(coded, shapes), {name: _rest(values[name], coded[name]) for name in lossy})


def most_bytes(shapes: Shapes) -> int:
    """No body that `compress` makes is longer: its version, its forms, every value as float32."""
    return 1 + -(-len(shapes) // 2) + 4 * sum(map(size, shapes.values()))


def decompress(body: bytes, shapes: Shapes) -> Tensors:
    """The tensors that are there, new arrays, every value finite and within `limits.VALUE_ABS`.

    Raises ProtocolError for whatever breaks the format. `shapes` bounds the memory, whatever the body says.
    """
    with _NO_WARNINGS():
        if (tensors := _together(body, shapes)) is not None:
            return tensors
        coded = read(body, shapes)
        return {name: _restore(name, one, shapes[name]) for name, one in coded.items()}


def _together(body: bytes, shapes: Shapes) -> Tensors | None:
    """Parts of one array; None where tensors must be read one by one. Small tensors' time goes into calls."""
    if len(body) > _TOGETHER_BYTES or (whole := read_whole(body, shapes)) is None:
        return None
    names, values = whole[0], whole[1].astype(np.float32)
    if not _is_bounded(values):
        return None  # one by one the tensor is found that is not
    ends = np.cumsum([size(shapes[name]) for name in names])[:-1]
    return {
        name: part.reshape(shapes[name]) for name, part in zip(names, np.split(values, ends), strict=True)
    }


def _flat(name: str, value: Floats, shapes: Shapes) -> Floats:
    """The values in one row, not copied if they lie so. Raises ProtocolError."""
    if name not in shapes or value.shape != tuple(shapes[name]) or value.dtype != np.float32:
        raise ProtocolError(f"tensor {name} is not float32 of the shape that the plan gives it")
    return value.reshape(-1)


def _is_bounded(flat: Floats) -> bool:
    """Whether every value is finite and within `limits.VALUE_ABS`: a comparison with NaN is false."""
    if not flat.size:
        return True
    # As min() and max(), which are these behind a function of Python's.
    least, most = np.minimum.reduce(flat), np.maximum.reduce(flat)
    return bool(least >= -limits.VALUE_ABS and most <= limits.VALUE_ABS)


def _clip(name: str, flat: Floats) -> Floats:
    if not np.isfinite(flat).all():
        raise ProtocolError(f"tensor {name} holds a value that is not finite")
    clipped: Floats = np.clip(flat, -np.float32(limits.VALUE_ABS), np.float32(limits.VALUE_ABS))
    return clipped


def _values(one: Coded) -> Floats:
    """The values that are written."""
    if one.kind.has_levels:
        return from_levels(one.symbols, one.kind, one.scale)
    floats: Floats = one.symbols.astype(np.float32)
    return floats


def _restore(name: str, one: Coded, shape: tuple[int, ...]) -> Floats:
    if one.kind == Kind.ZERO:
        return np.zeros(shape, np.float32)
    values = _values(one)
    if not one.kind.has_levels and not _is_bounded(values):
        raise ProtocolError(f"tensor {name} holds a value that is not finite or exceeds {limits.VALUE_ABS:g}")
    if one.written is None:
        return values.reshape(shape)
    flat = np.zeros(size(shape), np.float32)
    flat[one.written] = values
    return flat.reshape(shape)


def _rest(value: Floats, one: Coded) -> Floats:
    """`value` less what travels of it."""
    if one.kind == Kind.ZERO:
        return value.copy()
    if one.written is None:
        return value - _values(one).reshape(value.shape)
    rest = value.flatten()
    rest[one.written] -= _values(one)
    return rest.reshape(value.shape)


def every_tensor(body: bytes, shapes: Shapes) -> Tensors:
    """What `decompress` yields of a body that must hold all of them. Raises ProtocolError."""
    tensors = decompress(body, shapes)
    if lacking := sorted(shapes.keys() - tensors.keys()):
        raise ProtocolError(f"the model lacks tensor {lacking[0]} and {len(lacking) - 1} more")
    return tensors
