"""What goes in comes out: exactly, or with what is missing named in the residual."""

import numpy as np
import pytest
from codec_strategies import tensor_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin import limits
from fedfin.codec import PRESETS, Preset, Shapes, Tensors, compress, decompress, most_bytes
from fedfin.errors import ProtocolError

SHAPES = {"head.weight": (30, 50), "head.bias": (30,), "scale": (), "empty": (0, 3)}


def _values(seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}


@settings(deadline=None)
@given(tensor_sets(), st.sampled_from(sorted(PRESETS)))
def test_decoded_and_residual_make_up_the_values(drawn: tuple[Tensors, Shapes], preset: Preset) -> None:
    """Nothing is lost without being owed; nothing appears that was not sent; nothing that was given is changed."""
    values, shapes = drawn
    before = {name: value.copy() for name, value in values.items()}
    packed = compress(values, shapes, preset)
    decoded = decompress(packed.body, shapes)
    assert decoded.keys() == values.keys()
    assert packed.residual.keys() <= values.keys()
    for name, value in before.items():
        assert values[name].tobytes() == value.tobytes()
        assert decoded[name].shape == value.shape
        assert decoded[name].dtype == np.float32
        owed = packed.residual.get(name, np.zeros_like(value))
        assert np.array_equal(owed, value - decoded[name])
        assert np.all(np.abs(decoded[name]) <= limits.VALUE_ABS)
    assert len(packed.body) <= most_bytes(shapes)


@settings(deadline=None)
@given(tensor_sets())
def test_exact_is_bit_exact(drawn: tuple[Tensors, Shapes]) -> None:
    """Negative zeros and denormals too; no value is owed."""
    values, shapes = drawn
    packed = compress(values, shapes, "exact")
    decoded = decompress(packed.body, shapes)
    assert all(decoded[name].tobytes() == value.tobytes() for name, value in values.items())
    assert packed.residual == {}


def test_tensors_that_are_read_together_are_each_their_own() -> None:
    """Small ones, all there as they are: who writes into one changes no other; of a wrong one the name is told."""
    values = _values()
    body = compress(values, SHAPES, "exact").body
    decoded = decompress(body, SHAPES)
    decoded["head.weight"].fill(7)
    decoded["scale"].fill(7)
    assert (decoded["head.bias"] == values["head.bias"]).all()
    place = body.index(values["head.bias"].tobytes())
    broken = body[:place] + np.float32("nan").tobytes() + body[place + 4 :]
    with pytest.raises(ProtocolError, match=r"tensor head\.bias holds a value that is not finite"):
        decompress(broken, SHAPES)
    assert decompress(compress({}, SHAPES, "exact").body, SHAPES) == {}


@settings(deadline=None)
@given(tensor_sets(), st.sampled_from(sorted(PRESETS)))
def test_the_same_values_give_the_same_bytes(drawn: tuple[Tensors, Shapes], preset: Preset) -> None:
    """Whatever the order of the names and of the values in memory."""
    values, shapes = drawn
    turned = {name: values[name].copy(order="F") for name in reversed(values)}
    other = compress(turned, dict(reversed(shapes.items())), preset)
    assert other.body == compress(values, shapes, preset).body


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(preset: Preset, bad: float) -> None:
    """It would become 0 in an integer, and live in the error feedback for ever."""
    values = _values()
    values["head.weight"][4, 2] = bad
    with pytest.raises(ProtocolError, match=r"head\.weight holds a value that is not finite"):
        compress(values, SHAPES, preset)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_cut_off_at_the_limit_is_owed(preset: Preset) -> None:
    """The aggregator refuses more, so the site does not send it."""
    values = _values()
    values["head.bias"][:] = -1e30
    packed = compress(values, SHAPES, preset)
    decoded = decompress(packed.body, SHAPES)["head.bias"]
    assert np.abs(decoded).max() <= limits.VALUE_ABS
    assert np.array_equal(packed.residual["head.bias"], values["head.bias"] - decoded)


def test_the_longest_body_is_one_of_every_value() -> None:
    """The bound that `most_bytes` tells is reached."""
    assert len(compress(_values(), SHAPES, "exact").body) == most_bytes(SHAPES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("other", np.zeros(3, np.float32)),
        ("head.bias", np.zeros(31, np.float32)),
        ("head.bias", np.zeros((30, 1), np.float32)),
        ("head.bias", np.zeros(30, np.float64)),
    ],
)
def test_a_tensor_that_the_plan_does_not_have_so_is_refused(name: str, value: np.ndarray) -> None:
    with pytest.raises(ProtocolError, match=name):
        compress({name: value}, SHAPES, "exact")
