"""What other frameworks send for the same tensors: the bytes of one model update, without compression.

Flower (arXiv 2007.14390): each array as a .npy file in a `Parameters` message of protobuf, over gRPC. NVFlare: a
dictionary of arrays by FOBS, which is msgpack around a .npy file of each, over gRPC. Where a framework is installed
(the extra `frameworks`) its own serializer makes the bytes: "run". Else they are "computed", as flwr 1.42 and NVFlare
2.9 make them. gRPC itself is 5 bytes a message, and HTTP/2 9 bytes a frame of 16,384 (RFC 9113); TLS, TCP and the
headers of HTTP are not counted.
"""

import importlib.util
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedfin.codec import Tensors, compress
from fedfin.codec.presets import Preset

NVFLARE_AN_ARRAY = 149  # bytes of FOBS around each in 2.9
GRPC_MESSAGE, HTTP2_FRAME, HTTP2_HEADER = 5, 16_384, 9
How = Literal["run", "computed"]


@dataclass(frozen=True)
class Framed:
    """Bytes of one update."""

    name: str
    bytes: int
    how: How


def framed(tensors: Tensors) -> list[Framed]:
    """As float32, by each framework."""
    makers: Mapping[str, tuple[str, Callable[[Tensors], int], Callable[[Tensors], int]]] = {
        "Flower": ("flwr", _flower, _flower_computed),
        "NVFlare": ("nvflare", _nvflare, _nvflare_computed),
    }
    found = [Framed("float32 values alone", sum(4 * v.size for v in tensors.values()), "run")]
    for name, (module, run, computed) in makers.items():
        there = importlib.util.find_spec(module) is not None
        size = run(tensors) if there else computed(tensors)
        found.append(Framed(name, _over_grpc(size), "run" if there else "computed"))
    return found


def ours(tensors: Tensors, preset: Preset) -> Framed:
    """The body of an update."""
    shapes = {name: values.shape for name, values in tensors.items()}
    return Framed(f"FedFIN, {preset}", len(compress(tensors, shapes, preset).body), "run")


def _flower(tensors: Tensors) -> int:
    from flwr.common import ndarrays_to_parameters
    from flwr.common.serde import parameters_to_proto

    message = parameters_to_proto(ndarrays_to_parameters(list(tensors.values())))
    return len(message.SerializeToString())


def _flower_computed(tensors: Tensors) -> int:
    fields = (_npy(values) for values in tensors.values())
    return sum(1 + _varint(size) + size for size in fields) + 2 + len("numpy.ndarray")


def _nvflare(tensors: Tensors) -> int:
    from nvflare.app_common.decomposers import numpy_decomposers
    from nvflare.fuel.utils import fobs

    fobs.register(numpy_decomposers.NumpyArrayDecomposer)
    return len(fobs.dumps(dict(tensors)))


def _nvflare_computed(tensors: Tensors) -> int:
    """Of each array its name, its .npy file, and a map with the decomposer's name."""
    return sum(len(name) + NVFLARE_AN_ARRAY + _npy(values) for name, values in tensors.items())


def _npy(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return len(out.getbuffer())


def _varint(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))


def _over_grpc(size: int) -> int:
    size += GRPC_MESSAGE
    return size + HTTP2_HEADER * -(-size // HTTP2_FRAME)
