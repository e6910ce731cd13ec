"""Whether an ONNX file is whole in itself: its tensors must not be in other files, which no digest covers.

onnxruntime before 1.24 opens whatever path a tensor names. Of the protobuf format (onnx.proto) only what leads to
tensors is read here, without the onnx package: a site does not have it.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from fedfin.errors import BundleError

MAX_BYTES = (1 << 31) - 1  # protobuf's own limit
_MAX_DEPTH = 100  # as protobuf's own
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# By message, its fields that lead to tensors: onnx.proto's field numbers.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor


def check_whole(path: Path) -> None:
    """Raises BundleError when the file is no ONNX graph, or one of its tensors is in another file."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if len(content) > MAX_BYTES:
                raise BundleError(f"{path}: has more than {MAX_BYTES:,} bytes; export the encoder again")
            with memoryview(content) as view:
                _walk(path, view)
    except OSError as error:
        raise BundleError(f"{path}: cannot read it ({error.strerror}); export it again") from None
    except (ValueError, IndexError):
        raise BundleError(f"{path}: is damaged, or no ONNX graph; export it again") from None


def _walk(path: Path, view: memoryview) -> None:
    waiting = [("model", 0, 0, len(view))]
    while waiting:
        kind, depth, start, end = waiting.pop()
        if depth > _MAX_DEPTH:
            raise ValueError
        for number, first, last in _fields(view, start, end):
            if (
                kind == "tensor"
                and number in {_EXTERNAL_DATA, _DATA_LOCATION}
                and _is_given(view, first, last)
            ):
                raise BundleError(
                    f"{path}: keeps tensors in other files (external data); export it again in one file"
                )
            if (child := _FIELDS.get(kind, {}).get(number)) is not None:
                waiting.append((child, depth + 1, first, last))


def _is_given(view: memoryview, first: int, last: int) -> bool:
    """Whether a field has a value other than 0, which is the default: the data is in the file."""
    return any(view[first:last])


def _fields(view: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of the value of each field. Raises ValueError or IndexError."""
    while at < end:
        key, at = _number(view, at)
        start, kind = at, key & 7
        if kind == _VARINT:
            _, at = _number(view, at)
        elif kind == _BYTES:
            length, start = _number(view, at)
            at = start + length
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError
        if at > end:
            raise ValueError
        yield key >> 3, start, at


def _number(view: memoryview, at: int) -> tuple[int, int]:
    """A varint of at most 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004 - the bit that says another byte follows
            return value, at
    raise ValueError
