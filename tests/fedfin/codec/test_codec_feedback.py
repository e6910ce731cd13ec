"""What compression drops is owed, and in the end paid."""

import numpy as np
import pytest
from codec_strategies import tensor_sets
from hypothesis import given, settings

from fedfin.codec import Preset, Shapes, Tensors, compensate, compress, decompress

SHAPES = {"weight": (40, 50), "bias": (50,)}


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("preset", "rounds"), [("balanced", 100), ("small", 300), ("minimal", 600)])
def test_a_constant_delta_arrives_whole(preset: Preset, rounds: int) -> None:
    """What was decoded over many rounds comes to what was meant, though each round drops most of it."""
    rng = np.random.default_rng(3)
    delta = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    residual: Tensors = {}
    total = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for _ in range(rounds):
        packed = compress(compensate(delta, residual), SHAPES, preset)
        residual = packed.residual
        for name, value in decompress(packed.body, SHAPES).items():
            total[name] += value
    for name, value in delta.items():
        assert np.linalg.norm(total[name] / rounds - value) < 0.15 * np.linalg.norm(value)


def test_a_tensor_without_delta_is_not_sent() -> None:
    residual = {"weight": np.ones((40, 50), np.float32), "bias": np.ones(50, np.float32)}
    delta = {"bias": np.ones(50, np.float32)}
    assert _same(compensate(delta, residual), {"bias": np.full(50, 2, np.float32)})


@settings(deadline=None)
@given(tensor_sets())
def test_nothing_owed_changes_nothing(drawn: tuple[Tensors, Shapes]) -> None:
    """And an exact update owes nothing."""
    values, shapes = drawn
    packed = compress(values, shapes, "exact")
    assert _same(compensate(values, packed.residual), values)
