"""What goes in comes out: exactly, or with what is missing named in the residual."""

import numpy as np
import pytest

from fedfin.errors import ProtocolError
from fedfin.protocol.codec import PRESETS, Preset, Tensors, compress, decompress

SHAPES = {"head.weight": (30, 50), "head.bias": (30,), "scale": (), "empty": (0, 3)}


def _values(seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_decoded_and_residual_make_up_the_values(preset: Preset) -> None:
    """Nothing is lost without being owed."""
    values = _values()
    packed = compress(values, SHAPES, preset)
    decoded = decompress(packed.body, SHAPES)
    assert decoded.keys() == values.keys()
    for name, value in values.items():
        assert decoded[name].shape == value.shape
        owed = packed.residual.get(name, np.zeros_like(value))
        assert np.array_equal(owed, value - decoded[name])


def test_exact_is_bit_exact_dense_and_sparse() -> None:
    """Negative zeros and denormals too; what is absent stays absent."""
    values = {"head.weight": np.zeros(SHAPES["head.weight"], np.float32), "head.bias": _values()["head.bias"]}
    values["head.weight"][3, 7], values["head.weight"][9, 9] = -0.0, 1e-42
    packed = compress(values, SHAPES, "exact")
    decoded = decompress(packed.body, SHAPES)
    assert decoded.keys() == values.keys()
    assert all(decoded[name].tobytes() == values[name].tobytes() for name in values)
    assert packed.residual == {}
    assert len(packed.body) < 150


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(preset: Preset, bad: float) -> None:
    values = _values()
    values["head.weight"][4, 2] = bad
    with pytest.raises(ProtocolError, match=r"head\.weight"):
        compress(values, SHAPES, preset)
