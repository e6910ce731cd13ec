"""Named tensors to bytes and back: raw little-endian values with dtype and shape, never lists, never pickle.

`encode_tensor` and `decode_tensor` are where a codec plugs in: a dtype name says how the bytes are to be read.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.plan import Codec
from fedfin.protocol import limits

Tensors = dict[str, NDArray[np.float32]]
_NUMPY: dict[str, str] = {"float32": "<f4", "float16": "<f2"}
_FLOAT16_MAX = 65504.0


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor on the wire. `weight`: how many cases stand behind it (updates only)."""

    dtype: Literal["float32", "float16"]
    shape: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)], ...], msgspec.Meta(max_length=limits.RANK)
    ]
    data: bytes
    weight: Annotated[int, msgspec.Meta(ge=0, le=limits.SITE_WEIGHT)] = 0


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARS)]
WireTensors = Annotated[dict[Name, Tensor], msgspec.Meta(max_length=limits.TENSORS)]


def encode_tensor(array: NDArray[np.float32], codec: Codec, weight: int = 0) -> Tensor:
    """Values beyond float16's range are clipped to it when the codec is float16."""
    if codec == "float16":
        array = np.clip(array, -_FLOAT16_MAX, _FLOAT16_MAX)
    data = np.ascontiguousarray(array).astype(_NUMPY[codec], copy=False).tobytes()
    return Tensor(dtype=codec, shape=tuple(array.shape), data=data, weight=weight)


def decode_tensor(name: str, tensor: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The values as float32, of exactly the `shape` that the plan gives this name.

    Raises ProtocolError: another shape, bytes that do not fit it, or a value that is not finite or too large.
    """
    if tensor.shape != shape:
        raise ProtocolError(f"tensor {name} has shape {tensor.shape}, the plan says {shape}")
    dtype = np.dtype(_NUMPY[tensor.dtype])
    if len(tensor.data) != math.prod(shape) * dtype.itemsize:
        raise ProtocolError(f"tensor {name} has {len(tensor.data)} bytes, which do not fit its shape {shape}")
    array = np.frombuffer(tensor.data, dtype).reshape(shape).astype(np.float32)
    # One pass catches NaN too: every comparison with NaN is false.
    if not bool((np.abs(array) <= limits.VALUE_ABS).all()):
        raise ProtocolError(f"tensor {name} holds a value that is not finite or exceeds {limits.VALUE_ABS:g}")
    return array


def decode_all(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Every tensor, each named and shaped as `shapes` says. Raises ProtocolError."""
    for name in tensors:
        if name not in shapes:
            # The name came from the network: it is cut and escaped before it meets a log or a terminal.
            raise ProtocolError(f"tensor {name[:40]!r} is not one that the plan asks for")
    return {name: decode_tensor(name, tensor, shapes[name]) for name, tensor in tensors.items()}
