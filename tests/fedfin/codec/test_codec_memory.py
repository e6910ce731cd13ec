"""Neither end takes much more memory than the tensors themselves, whatever travels."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from fedfin.codec import PRESETS, Preset, compress, decompress
from fedfin.codec.positions import encode_positions

SHAPES = {"weight": (400, 500), "bias": (500,)}
BYTES = 4 * 200_500


def _peak(work: Callable[[], object]) -> float:
    """In units of the tensors' float32. What the work returns is counted, what it is given is not."""
    work()
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / BYTES


@pytest.mark.parametrize("preset", PRESETS)
def test_peak_memory_is_at_most_three_times_the_update(preset: Preset) -> None:
    """Residual and body, or decoded tensors, are part of it."""
    rng = np.random.default_rng(5)
    values = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    body = compress(values, SHAPES, preset).body
    assert _peak(lambda: compress(values, SHAPES, preset)) < 3.1
    assert _peak(lambda: decompress(body, SHAPES)) < 2.1


@pytest.mark.parametrize(
    ("form", "size"),
    [
        (2, 1 / 8),
        (3, 2 / 8),
        (4, 3 / 8),
        (5, 4 / 8),
        (6, 2),
        (7, 4),
        (8, 1 / 8),
        (9, 1 / 8),
    ],
)
def test_a_body_of_any_form_takes_a_few_times_its_tensors(form: int, size: float) -> None:
    """Also one that no preset makes: all of it in that form, a whole tensor of zeros."""
    scale = b"\x80\x3f" if form < 6 else b""
    body = bytes([1, form << 4 | form]) + b"".join(
        scale + bytes(-int(-count * size // 1)) for count in (500, 200_000)
    )
    assert _peak(lambda: decompress(body, SHAPES)) < 3.1


def test_the_densest_positions_take_a_few_times_their_tensors() -> None:
    """Nearly a quarter of all values, in eight bytes each while they are decoded."""
    values = {"weight": np.zeros(SHAPES["weight"], np.float32), "bias": np.zeros(500, np.float32)}
    positions = np.arange(49_999) * 4
    head = bytes([1, 0xA1]) + encode_positions([positions], [200_000])
    body = head + b"\x80\x3f" + bytes(-(-49_999 // 8))
    values["weight"].flat[positions] = -1.0
    assert all(np.array_equal(found, values[name]) for name, found in decompress(body, SHAPES).items())
    assert _peak(lambda: decompress(body, SHAPES)) < 4.1
