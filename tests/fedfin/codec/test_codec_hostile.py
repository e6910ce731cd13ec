"""Whatever bytes arrive: a ProtocolError, or finite values within bounds; never more memory than the shapes imply."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedfin import limits
from fedfin.codec import PRESETS, Tensors, compress, decompress
from fedfin.codec.golomb import suited
from fedfin.codec.reader import number
from fedfin.errors import ProtocolError

SHAPES = {"a": (10, 20), "b": (90,), "c": (8,), "d": (1,), "e": (40,)}
# One body per way in which a tensor can be written, beside the presets.
SPARSE = [f"{preset} {share}" for preset in ("exact", "half") for share in (0.03, 0.5)]


def _body(kind: str) -> bytes:
    preset, _, share = kind.partition(" ")
    rng = np.random.default_rng(7)
    values = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items() if name != "e"
    }
    if share:
        values = {
            name: np.where(rng.random(x.shape) < float(share), x, np.float32(0)) for name, x in values.items()
        }
    values["c"] *= 9  # so large that it is written whole, and with more than one bit
    return compress(values, SHAPES, preset).body


def _decode(body: bytes) -> Tensors | None:
    """None when it is refused."""
    try:
        tensors = decompress(body, SHAPES)
    except ProtocolError:
        return None
    for name, tensor in tensors.items():
        assert tensor.shape == SHAPES[name]
        assert bool((np.abs(tensor) <= limits.VALUE_ABS).all())
    return tensors


KINDS = pytest.mark.parametrize("kind", [*PRESETS, *SPARSE])


@KINDS
def test_every_prefix_is_refused(kind: str) -> None:
    body = _body(kind)
    assert _decode(body) is not None
    assert [length for length in range(len(body)) if _decode(body[:length]) is not None] == []


@KINDS
def test_more_than_the_body_is_refused(kind: str) -> None:
    assert _decode(_body(kind) + b"\0") is None


@KINDS
def test_every_bit_flip_is_refused_or_bounded(kind: str) -> None:
    body = _body(kind)
    for i in range(8 * len(body)):
        flipped = bytearray(body)
        flipped[i // 8] ^= 1 << i % 8
        _decode(bytes(flipped))


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\1")
@example(b"\1\xaa\xaa\x0a" + b"\xff" * 50)
def test_any_bytes_are_refused_or_bounded(body: bytes) -> None:
    _decode(body)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([*PRESETS, *SPARSE]), st.data())
def test_any_splice_is_refused_or_bounded(kind: str, data: st.DataObject) -> None:
    """Some bytes of a true body are overwritten, so that what follows the head is reached."""
    body = bytearray(_body(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=6))
        body[start : start + len(patch)] = patch
    _decode(bytes(body))


@pytest.mark.parametrize("claim", [2**20, 2**40, 2**62])
def test_a_claim_allocates_nothing(claim: int) -> None:
    """A short body that announces much is refused before memory is taken for it."""
    one = bytes([1, 10, suited(2**18, 2**21)]) + number(2**18) + number(claim)
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decompress(one + bytes(100), {"a": (2**21,)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**16


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"\2", "version"),
        (b"\1\x0e", "form"),
        (b"\1\xf0", "form"),
        (b"\1\x12", "form"),
        (b"\1\1\0", "too many"),
        (b"\1\2\x80\xff\0", "scale"),
        (b"\1\2\0\0\0", "scale"),
        (b"\1\2\x81\x47\0", "scale"),
        (b"\1\2\x80\x3f\xf0", "beyond the last value"),
        (b"\1\7\0\0\xc0\x7f" + bytes(12), "not finite"),
        (b"\1\7\1\0\x80\x47" + bytes(12), "exceeds 65536"),
        (b"\1\6\0\x7c" + bytes(6), "not finite"),
    ],
)
def test_each_fault_has_its_words(body: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        decompress(body, {"a": (4,)})


@pytest.mark.parametrize(
    ("positions", "complaint"),
    [
        (b"\xff", "unknown Golomb"),
        (b"\1\0", "suits their number"),
        (b"\0\1", "suits their number"),
        (b"\1\3", "exceeds 2"),
        (b"\1\x82\0", "shortest form"),
        (b"\1\2\2\1\0", "not as many"),
        (b"\1\2\3\4", "not as many"),
        (b"\4\1\3\4\0", "beyond its tensors"),
        (b"\1\2\5\x11\x08", "beyond its tensors"),
        (b"\1\2\5\x11\x09", "digits that are too large"),
    ],
)
def test_each_fault_of_positions_has_its_words(positions: bytes, complaint: str) -> None:
    """Up to two among ten values, where code 1 has base 3 and code 4 base 6."""
    with pytest.raises(ProtocolError, match=complaint):
        decompress(bytes([1, 10]) + positions, {"a": (10,)})
