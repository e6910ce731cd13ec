"""Bodies of tensors, which any preset may have made; the first byte says which shapes they are of."""

import contextlib

from fedfin.codec import Shapes, decompress
from fuzz.scratch import REFUSED

SHAPES: tuple[Shapes, ...] = (
    {"bias": (2,), "weight": (2, 3)},
    {"long": (5000,)},
    {"a": (64, 9), "b": (1,), "c": (1000,), "d": (333,)},
    {f"t{i}": (i + 1, 7) for i in range(17)},
)


def fuzz(data: bytes) -> None:
    """What comes out has the shapes that were asked for."""
    shapes = SHAPES[data[0] % len(SHAPES)] if data else SHAPES[0]
    with contextlib.suppress(REFUSED):
        for name, tensor in decompress(data[1:], shapes).items():
            assert tensor.shape == shapes[name]
