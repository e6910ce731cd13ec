"""Positions come back as they were, for little more than their entropy."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin.codec import compress
from fedfin.codec.golomb import CODES, GROUPS, digit_bits, suited
from fedfin.codec.positions import decode_positions, encode_positions
from fedfin.codec.reader import Reader


def _bits(kept: int, span: int) -> float:
    """The entropy of which `kept` of `span` places are taken."""
    return -sum(count * log2(count / span) for count in (kept, span - kept) if count)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**32), st.integers(5, 5000), st.floats(0.0, 0.7)), min_size=1, max_size=6
    )
)
def test_positions_of_any_density_come_back(drawn: list[tuple[int, int, float]]) -> None:
    kept, sizes = [], []
    for seed, size, density in drawn:
        rng = np.random.default_rng(seed)
        some = np.flatnonzero(rng.random(size) < density**4)[: (size - 1) // 4]
        kept.append(some if len(some) else np.array([size - 1]))
        sizes.append(size)
    reader = Reader(encode_positions(kept, sizes))
    found = decode_positions(reader, sizes)
    reader.end()
    assert all(np.array_equal(one, other) for one, other in zip(found, kept, strict=True))


def test_a_single_position_in_a_giant_tensor_comes_back() -> None:
    """Gaps beyond 32 bits too."""
    for at in (0, 2**31, 2**40 - 1):
        data = encode_positions([np.array([at])], [2**40])
        assert decode_positions(Reader(data), [2**40])[0].tolist() == [at]


@pytest.mark.parametrize("share", [0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.003])
def test_positions_cost_little_more_than_their_entropy(share: float) -> None:
    """At most 1 % more, with every head; where a bit for the sign is counted, less."""
    kept = np.flatnonzero(np.random.default_rng(1).random(1_000_000) < share)
    assert 8 * len(encode_positions([kept], [1_000_000])) < 1.01 * _bits(len(kept), 1_000_000)


@pytest.mark.parametrize(
    ("preset", "ratio"), [("balanced", 31.9), ("small", 110), ("tiny", 195), ("minimal", 320)]
)
def test_a_model_of_many_tensors_reaches_its_ratio(preset: str, ratio: float) -> None:
    """Normal values: the worst there is, for real deltas are more unequal. Heads and tables are counted."""
    rng = np.random.default_rng(2)
    shapes = {
        f"{i}.{part}": shape
        for i in range(8)
        for part, shape in {"w": (256, 512), "v": (512,), "b": (256,)}.items()
    }
    values = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    packed = compress(values, shapes, preset)
    assert sum(value.nbytes for value in values.values()) > ratio * len(packed.body)


def test_a_code_suits_its_density() -> None:
    """No other of the codes costs noticeably less for the expected gaps."""
    for share in (0.24, 0.1, 0.04, 0.01, 0.001):
        cost = [1 / (1 - (1 - share) ** code.m) + log2(code.m) for code in CODES]
        assert cost[suited(round(share * 1_000_000), 1_000_000)] < min(cost) + 0.01


@pytest.mark.parametrize("base", GROUPS)
def test_digits_share_integers_in_the_best_groups(base: int) -> None:
    """No group below 2^62 takes fewer bits a digit; at most one bit in eighty is lost."""
    groups = [(count, (base**count - 1).bit_length()) for count in range(1, 63) if base**count <= 2**62]
    assert min(groups, key=lambda group: group[1] / group[0]) == GROUPS[base]
    assert digit_bits(10_000, base) <= 10_000 * log2(base) * 1.0125
