"""The golden vectors: bodies that every implementation, on every processor, must make and read alike.

`python tests/fedfin/codec/golden_vectors.py` writes golden/vectors.json; do so only when the format changes on purpose.
A vector: preset, `values` (each tensor's float32, little-endian, hex; null: not there), `body` (hex), and `decoded` and
`residual`: SHA-256 of the float32 of all tensors there, in the order of their names.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from fedfin.codec import PRESETS, Preset, Tensors, compress, decompress

PATH = Path(__file__).parent / "golden" / "vectors.json"
SHAPES: dict[str, tuple[int, ...]] = {
    "body.weight": (24, 20),
    "body.bias": (20,),
    "head.weight": (5, 8),
    "head.bias": (5,),
    "scale": (),
    "unsent": (3,),
}
_SENT = [name for name in SHAPES if name != "unsent"]


def _spread(name: str, loud: float) -> np.ndarray:
    """Values with a heavy tail, from integers and single IEEE operations only."""
    count = int(np.prod(SHAPES[name], dtype=np.int64))
    seed = np.uint64(sum(name.encode()))
    mixed = (
        np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2654435761) + seed * np.uint64(40503)
    ) % np.uint64(65521)
    centred = (mixed.astype(np.int64) - 32760).astype(np.float32) * np.float32(2.0**-15)
    return (centred * centred * centred * np.float32(loud)).reshape(SHAPES[name])


def inputs() -> dict[str, Tensors]:
    """Sets of values by what is peculiar to them."""
    heavy = {name: _spread(name, 4.0 if name == "head.weight" else 2.0**-7) for name in _SENT}
    sparse = {
        name: np.where(np.abs(value) < np.abs(value).max() / 2, np.float32(0), value)
        for name, value in heavy.items()
    }
    special = {name: value.copy() for name, value in heavy.items()}
    special["body.weight"].flat[:6] = [-0.0, 1e-45, -1e-40, 1e6, -1e6, 65504.0]
    special["head.bias"][:] = 0.0
    equal = {"body.weight": np.full(SHAPES["body.weight"], -0.25, np.float32)}
    return {"heavy": heavy, "sparse": sparse, "special": special, "equal": equal}


def _digest(tensors: Tensors) -> str:
    parts = (np.asarray(tensors[name], "<f4").tobytes() for name in sorted(tensors))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def vector(preset: Preset, values: Tensors) -> dict[str, object]:
    """What is compared."""
    packed = compress(values, SHAPES, preset)
    return {
        "preset": preset,
        "body": packed.body.hex(),
        "decoded": _digest(decompress(packed.body, SHAPES)),
        "residual": _digest(packed.residual),
    }


def make() -> dict[str, object]:
    """The whole file."""
    cases = [
        {
            "name": name,
            "values": {
                key: np.asarray(value, "<f4").tobytes().hex() for key, value in sorted(values.items())
            },
            "vectors": [vector(preset, values) for preset in PRESETS],
        }
        for name, values in inputs().items()
    ]
    return {"shapes": {name: list(shape) for name, shape in sorted(SHAPES.items())}, "cases": cases}


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
