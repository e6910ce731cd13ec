"""Coded tensors to the bytes of a body and back.

    version    1 byte
    forms      4 bits a tensor of `shapes`: how it is written, if it is there (layout.py)
    positions  of the values written of those tensors that have few (positions.py); nothing if there are no such tensors
    then tensor by tensor in the order of their names:
    mask       a bit a value, where a mask says which values are written
    scale      2 bytes, the upper half of a float32, where values became levels
    symbols    a level's bits, or float16 or float32, little-endian: one a value written

Both ends know the tensors' names and shapes, so neither travels. A body does not say which preset made it.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from fedfin.codec.golomb import Numbers
from fedfin.codec.layout import Coded, Kind, Layout, Mask, Shapes, read_forms, size, write_forms
from fedfin.codec.positions import decode_positions, encode_positions
from fedfin.codec.quantize import Floats, read_scale, write_scale
from fedfin.codec.reader import Reader, bits_to_words, pack, words_to_bits
from fedfin.errors import ProtocolError

VERSION = 1


def write(coded: Mapping[str, Coded], shapes: Shapes) -> bytes:
    """`coded`: in the order of the names."""
    sparse = {name: one.positions for name, one in coded.items() if one.positions is not None}
    parts: list[bytes | memoryview] = [bytes([VERSION]), write_forms(coded, shapes)]
    if sparse:
        parts.append(encode_positions(list(sparse.values()), [size(shapes[name]) for name in sparse]))
    for one in coded.values():
        parts.extend(_write_one(one))
    return b"".join(parts)


def read(body: bytes, shapes: Shapes) -> dict[str, Coded]:
    """The tensors that are there, in the order of their names; floats are not yet checked. Raises ProtocolError."""
    reader = Reader(body)
    if reader.byte() != VERSION:
        raise ProtocolError("a tensor body of an unknown version")
    forms = read_forms(reader, shapes)
    sparse = [name for name, (_, layout) in forms.items() if layout == Layout.GAPS]
    found = decode_positions(reader, [size(shapes[name]) for name in sparse]) if sparse else []
    positions = dict(zip(sparse, found, strict=True))
    coded = {}
    for name, (kind, layout) in forms.items():
        mask = reader.bits(size(shapes[name])).view(np.bool_) if layout == Layout.MASK else None
        coded[name] = _read_one(reader, kind, mask, positions.get(name), size(shapes[name]))
    reader.end()
    return coded


def read_whole(body: bytes, shapes: Shapes) -> tuple[list[str], Floats] | None:
    """Names and values, end to end, not copied nor checked; None unless what is there is whole float32 tensors.

    So it is with `exact`, as a rule. Raises ProtocolError.
    """
    reader = Reader(body)
    if reader.byte() != VERSION:
        return None
    forms = read_forms(reader, shapes)
    if not forms or any(form != (Kind.FLOAT32, Layout.ALL) for form in forms.values()):
        return None
    floats = np.frombuffer(reader.take(4 * sum(size(shapes[name]) for name in forms)), "<f4")
    reader.end()
    return list(forms), floats


def _write_one(one: Coded) -> Iterator[bytes | memoryview]:
    if one.mask is not None:
        yield pack(one.mask)
    if one.kind.has_levels:
        yield write_scale(one.scale)
        yield pack(words_to_bits(one.symbols, one.kind))
    elif one.kind != Kind.ZERO:
        yield one.symbols.data.cast("B")


def _read_one(reader: Reader, kind: Kind, mask: Mask | None, positions: Numbers | None, count: int) -> Coded:
    if kind == Kind.ZERO:
        return Coded(kind)
    if positions is not None:
        count = len(positions)
    elif mask is not None:
        count = int(np.count_nonzero(mask))
    if kind.has_levels:
        scale = read_scale(reader.take(2), kind)
        levels = bits_to_words(reader.bits(count * kind), count, kind, np.uint8)
        return Coded(kind, levels, scale, mask, positions)
    dtype = np.dtype("<f2" if kind == Kind.FLOAT16 else "<f4")
    floats = np.frombuffer(reader.take(count * dtype.itemsize), dtype)
    return Coded(kind, floats, mask=mask, positions=positions)
