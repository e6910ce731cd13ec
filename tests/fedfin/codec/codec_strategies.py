"""What hypothesis draws for the codec: tensors of any shape, with every kind of value that is allowed."""

import numpy as np
from hypothesis import strategies as st

from fedfin import limits
from fedfin.codec import Shapes, Tensors

SIDES = st.lists(st.integers(0, 12), max_size=3).map(tuple)
SPECIAL = [0.0, -0.0, 1e-45, -1e-42, 1e-38, 1.0, -1.0, 65504.0, limits.VALUE_ABS, -limits.VALUE_ABS]


@st.composite
def tensor_sets(draw: st.DrawFn) -> tuple[Tensors, Shapes]:
    """(values of some names, shapes of all): normal, constant, mostly zero or special values, at any magnitude."""
    names = draw(st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=6))
    shapes = {name: draw(SIDES) for name in names}
    chosen = draw(st.sets(st.sampled_from(names))) if names else set()
    return {name: _tensor(draw, shapes[name]) for name in chosen}, shapes


def _tensor(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.standard_normal(shape) * 10.0 ** draw(st.integers(-44, 3))
    if draw(st.booleans()):
        values = np.sign(values) * draw(st.sampled_from([1e-3, 1.0, 2.0**-126]))
    values = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.5, 0.9, 1.0])), 0.0, values)
    values = np.where(
        rng.random(shape) < draw(st.sampled_from([0.0, 0.2])), rng.choice(SPECIAL, shape), values
    )
    return values.astype(np.float32)
