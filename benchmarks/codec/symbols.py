"""What a body's tensors are to an entropy coder: streams of symbols, and the least bytes that they need."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedfin.codec.layout import Tensors

Stream = NDArray[np.uint8]
ALPHABET = 256


def streams(decoded: Tensors) -> list[Stream]:
    """One stream of symbols for each tensor; where a tensor has too many values for that, one for each of its bytes.

    Float16 in float32's clothes has two bytes that are not always zero.
    """
    found: list[Stream] = []
    for values in decoded.values():
        levels, symbols = np.unique(values, return_inverse=True)
        if len(levels) <= ALPHABET:
            found.append(symbols.astype(np.uint8).ravel())
        else:
            found += _planes(values)
    return found


def _planes(values: NDArray[np.float32]) -> list[Stream]:
    half = values.astype(np.float16)
    narrow = half if np.array_equal(half.astype(np.float32), values) else values
    octets = narrow.ravel().view(np.uint8).reshape(values.size, -1)
    return [np.ascontiguousarray(octets[:, place]) for place in range(octets.shape[1])]


def entropy_bytes(parts: Sequence[Stream]) -> float:
    """The empirical entropy, order 0 per stream: symbols drawn independently at their stream's own frequencies.

    The frequencies themselves are known for free: a coder that must tell or learn them needs more.
    """
    return sum(map(_entropy_bits, parts)) / 8


def _entropy_bits(part: Stream) -> float:
    counts = np.bincount(part)
    shares = counts[counts > 0] / max(len(part), 1)
    return float(-(shares * np.log2(shares)).sum() * len(part))
