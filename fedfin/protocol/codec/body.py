"""A set of tensors as one string of bytes, and back: `compress` and `decompress`.

    version   1 byte
    methods   4 bits a tensor of the plan (layout.py)
    positions of all sparse tensors, laid end to end (positions.py)
    values    tensor by tensor

Both ends know the tensors' names and shapes, so neither travels. The body does not say which preset made it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.protocol import limits
from fedfin.protocol.codec.layout import (
    SCALED,
    SPARSE,
    Method,
    Methods,
    Shapes,
    Tensors,
    read_methods,
    size,
    write_methods,
)
from fedfin.protocol.codec.positions import Positions, decode_positions, encode_positions
from fedfin.protocol.codec.presets import PRESETS, Preset, Recipe
from fedfin.protocol.codec.reader import Reader, bits

VERSION = 1
Flat = NDArray[np.float32]
_HALF_MAX = 65504.0
_VALUE_BITS = int(np.float32(limits.VALUE_ABS).view(np.uint32))
_INF_BITS = 0x7F800000


@dataclass(frozen=True)
class Compressed:
    """`body`: what travels. `residual`: for each tensor, its values less what `decompress(body)` yields.

    A tensor that travels without loss has no residual.
    """

    body: bytes
    residual: Tensors


def compress(values: Tensors, shapes: Shapes, preset: Preset) -> Compressed:
    """`values`: float32 of the shapes that `shapes` gives; those that are lacking do not travel.

    A magnitude above `limits.VALUE_ABS` is cut down to it.
    Raises ProtocolError: a tensor that `shapes` does not have so, or that holds a value that is not finite.
    """
    recipe = PRESETS[preset]
    methods: Methods = {}
    spots: list[Positions] = []
    chunks: list[bytes | memoryview] = []
    residual: Tensors = {}
    start = 0
    for name in sorted(values):
        value = _checked(name, values[name], shapes)
        methods[name], where, chunk, decoded = _encode(value, recipe)
        chunks.append(chunk)
        if methods[name] in SPARSE:
            spots.append(where + start)
            start += value.size
        if decoded is not values[name]:
            residual[name] = values[name] - decoded.reshape(value.shape)
    head = bytes([VERSION]) + write_methods(methods, shapes)
    if spots:
        head += encode_positions(np.concatenate(spots), start)
    return Compressed(b"".join([head, *chunks]), residual)


def decompress(body: bytes, shapes: Shapes) -> Tensors:
    """The tensors that are present, new arrays. Raises ProtocolError for any body that `compress` does not make."""
    reader = Reader(body)
    if reader.byte() != VERSION:
        raise ProtocolError("a tensor body of an unknown version")
    methods = read_methods(reader, shapes)
    sparse = [name for name, method in methods.items() if method in SPARSE]
    ends = np.cumsum([size(shapes[name]) for name in sparse], dtype=np.int64)
    where = decode_positions(reader, int(ends[-1])) if sparse else np.zeros(0, np.int64)
    cuts = np.searchsorted(where, ends)
    tensors: Tensors = {}
    for name, method in methods.items():
        spots = None
        if method in SPARSE:
            i = sparse.index(name)
            begin = cuts[i - 1] if i else 0
            spots = where[begin : cuts[i]] - (ends[i] - size(shapes[name]))
        tensors[name] = _decode(reader, name, method, spots, size(shapes[name])).reshape(shapes[name])
    reader.end()
    return tensors


def _checked(name: str, value: Flat, shapes: Shapes) -> Flat:
    if name not in shapes or value.shape != tuple(shapes[name]) or value.dtype != np.float32:
        raise ProtocolError(f"tensor {name} is not float32 of the shape that the plan gives it")
    if not value.flags.c_contiguous:
        value = value.copy(order="C")
    if value.size and not (value.min() >= -limits.VALUE_ABS and value.max() <= limits.VALUE_ABS):
        if not np.isfinite(value).all():
            raise ProtocolError(f"tensor {name} holds a value that is not finite")
        clipped: Flat = np.clip(value, -np.float32(limits.VALUE_ABS), np.float32(limits.VALUE_ABS))
        return clipped
    return value


def _encode(value: Flat, recipe: Recipe) -> tuple[Method, Positions, bytes | memoryview, Flat]:
    flat = value.reshape(-1)
    none = np.zeros(0, np.int64)
    if recipe.kind == "float32" or not flat.size:
        raw = flat.view(np.uint32)
        count = np.count_nonzero(raw)
        if count * 33 > flat.size * 32 or not flat.size:
            return Method.DENSE32, none, flat.astype("<f4", copy=False).data.cast("B"), value
        where = np.flatnonzero(raw)
        return Method.SPARSE32, where, flat[where].astype("<f4").tobytes(), value
    if recipe.kind == "float16":
        half = np.clip(flat, -_HALF_MAX, _HALF_MAX).astype("<f2")
        where = np.flatnonzero(half)
        if len(where) * 17 > flat.size * 16:
            return Method.DENSE16, none, half.tobytes(), half.astype(np.float32)
        return Method.SPARSE16, where, half[where].tobytes(), half.astype(np.float32)
    if recipe.kind == "sign":
        magnitude = np.float32(np.abs(flat).mean())
        chunk = magnitude.astype("<f4").tobytes() + bits(flat < 0)
        return Method.SIGN, none, chunk, np.where(flat < 0, -magnitude, magnitude)
    keep = min(max(1, round(flat.size * recipe.keep)), flat.size)
    weight = np.abs(flat)
    where = np.flatnonzero((weight >= np.partition(weight, -keep)[-keep]) & (weight > 0))
    magnitude = np.float32(weight[where].mean() if len(where) else 0.0)
    chunk = magnitude.astype("<f4").tobytes() + bits(flat[where] < 0)
    decoded = np.zeros_like(flat)
    decoded[where] = np.where(flat[where] < 0, -magnitude, magnitude)
    return Method.TERNARY, where, chunk, decoded


def _decode(reader: Reader, name: str, method: Method, where: Positions | None, count: int) -> Flat:
    present = count if where is None else len(where)
    found: Flat
    if method in SCALED:
        magnitude = np.frombuffer(reader.take(4), "<f4")[0]
        found = np.where(reader.bits(present) == 1, -magnitude, magnitude).astype(np.float32)
    else:
        dtype = np.dtype("<f2" if method in (Method.SPARSE16, Method.DENSE16) else "<f4")
        found = np.frombuffer(reader.take(present * dtype.itemsize), dtype).astype(np.float32)
    if found.size and not (found.min() >= -limits.VALUE_ABS and found.max() <= limits.VALUE_ABS):
        raise ProtocolError(f"tensor {name} holds a value that is not finite or exceeds {limits.VALUE_ABS:g}")
    if where is None:
        return found
    flat = np.zeros(count, np.float32)
    flat[where] = found
    return flat
