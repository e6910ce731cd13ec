"""A set of tensors as one string of bytes, and back: `compress` and `decompress`.

    version    1 byte
    kinds      4 bits a tensor of `shapes`: how it is written, if it is there (layout.py)
    positions  of the values that sparse tensors keep (positions.py), when there are any
    then tensor by tensor in the order of their names:
    scale      2 bytes, the upper half of a float32: only where values became levels
    symbols    a level's bits, or float16 or float32, little-endian: one a value kept

Both ends know the tensors' names and shapes, so neither travels. A body does not say which preset made it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fedfin.errors import ProtocolError
from fedfin.protocol import limits
from fedfin.protocol.codec.encode import encode
from fedfin.protocol.codec.golomb import Numbers
from fedfin.protocol.codec.layout import Coded, Kind, Shapes, Tensors, read_kinds, size, write_kinds
from fedfin.protocol.codec.positions import decode_positions, encode_positions
from fedfin.protocol.codec.presets import PRESETS, Preset
from fedfin.protocol.codec.quantize import Floats, from_levels, read_scale, write_scale
from fedfin.protocol.codec.reader import Reader, pack, words_to_bits

VERSION = 1


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
    flats = {name: _checked(name, values[name], shapes) for name in sorted(values)}
    coded = encode(flats, PRESETS[preset])
    body = b"".join(_write(coded, shapes))
    lossy = [
        name
        for name in flats
        if coded[name].kind != Kind.FLOAT32 or not np.may_share_memory(flats[name], values[name])
    ]
    return Compressed(body, {name: _rest(values[name], coded[name]) for name in lossy})


def decompress(body: bytes, shapes: Shapes) -> Tensors:
    """The tensors that are present, new arrays, every value finite and within `limits.VALUE_ABS`.

    Raises ProtocolError for whatever breaks the format. Memory is bounded by `shapes`, whatever the body says.
    """
    reader = Reader(body)
    coded = _read(reader, shapes)
    reader.end()
    return {name: _restore(name, one, shapes[name]) for name, one in coded.items()}


def _checked(name: str, value: Floats, shapes: Shapes) -> Floats:
    """The values in one row. Raises ProtocolError."""
    if name not in shapes or value.shape != tuple(shapes[name]) or value.dtype != np.float32:
        raise ProtocolError(f"tensor {name} is not float32 of the shape that the plan gives it")
    flat: Floats = value.reshape(-1)
    if not _in_bounds(flat):
        if not np.isfinite(flat).all():
            raise ProtocolError(f"tensor {name} holds a value that is not finite")
        flat = np.clip(flat, -np.float32(limits.VALUE_ABS), np.float32(limits.VALUE_ABS))
    return flat


def _in_bounds(flat: Floats) -> bool:
    """Whether every value is finite and within `limits.VALUE_ABS`: a comparison with NaN is false."""
    return not flat.size or bool(flat.min() >= -limits.VALUE_ABS and flat.max() <= limits.VALUE_ABS)


def _write(coded: Mapping[str, Coded], shapes: Shapes) -> Iterator[bytes | memoryview]:
    yield bytes([VERSION])
    yield write_kinds(coded, shapes)
    kept = {name: one.kept for name, one in coded.items() if one.kept is not None}
    if kept:
        yield encode_positions(list(kept.values()), [size(shapes[name]) for name in kept])
    for one in coded.values():
        if one.kind.bits:
            yield write_scale(one.scale)
            yield pack(words_to_bits(one.symbols, one.kind.bits))
        elif one.kind != Kind.ZERO:
            yield one.symbols.data.cast("B")


def _read(reader: Reader, shapes: Shapes) -> dict[str, Coded]:
    if reader.byte() != VERSION:
        raise ProtocolError("a tensor body of an unknown version")
    kinds = read_kinds(reader, shapes)
    sparse = [name for name, (_, is_sparse) in kinds.items() if is_sparse]
    positions = decode_positions(reader, [size(shapes[name]) for name in sparse]) if sparse else []
    kept = dict(zip(sparse, positions, strict=True))
    return {
        name: _read_one(reader, kind, kept.get(name), size(shapes[name])) for name, (kind, _) in kinds.items()
    }


def _read_one(reader: Reader, kind: Kind, kept: Numbers | None, count: int) -> Coded:
    if kind == Kind.ZERO:
        return Coded(kind)
    count = count if kept is None else len(kept)
    if kind.bits:
        scale = read_scale(reader.take(2), kind)
        return Coded(kind, kept, reader.levels(count, kind.bits), scale)
    dtype = np.dtype("<f2" if kind == Kind.FLOAT16 else "<f4")
    return Coded(kind, kept, np.frombuffer(reader.take(count * dtype.itemsize), dtype))


def _values(one: Coded) -> Floats:
    """The values that are kept."""
    if one.kind.bits:
        return from_levels(one.symbols, one.kind, one.scale)
    floats: Floats = one.symbols.astype(np.float32)
    return floats


def _restore(name: str, one: Coded, shape: tuple[int, ...]) -> Floats:
    if one.kind == Kind.ZERO:
        return np.zeros(shape, np.float32)
    values = _values(one)
    if not _in_bounds(values):
        raise ProtocolError(f"tensor {name} holds a value that is not finite or exceeds {limits.VALUE_ABS:g}")
    if one.kept is None:
        return values.reshape(shape)
    flat = np.zeros(size(shape), np.float32)
    flat[one.kept] = values
    return flat.reshape(shape)


def _rest(value: Floats, one: Coded) -> Floats:
    """`value` less what travels of it."""
    if one.kind == Kind.ZERO:
        return value.copy()
    if one.kept is None:
        return value - _values(one).reshape(value.shape)
    rest = value.copy()
    rest.reshape(-1)[one.kept] -= _values(one)
    return rest
