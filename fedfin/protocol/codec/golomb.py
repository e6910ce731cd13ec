"""Numbers with a geometric distribution to bits and back: Golomb 1966, vectorised, its remainders packed tighter.

A number is `quotient * m + remainder`. The quotients travel in unary in one stream, the remainders in another:
so both ends find every number at once, without a loop over them. Where m is no power of two, a remainder alone
would waste part of a bit: as many remainders as pay best are the digits, base m, of one integer.

The gaps between the values that a sparse tensor keeps are close to geometric. Golomb's code exceeds their
entropy by 0.03 bit a gap, the rounding of m and of digits by 0.01: about half a percent of what a kept value
costs. A range coder's tables and the states of its lanes cost as much in a body of 14 KB.
"""

from bisect import bisect_right
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ProtocolError
from fedfin.protocol.codec.reader import Bits, bits_to_words, words_to_bits

Numbers = NDArray[np.int64]
# What m may be: 1, 2, 3, 4, then four to an octave, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... to 2^31. The nearest of them
# costs at most 0.008 bit a number more than the best m.
M = [1, 2, 3, 4, *((5 + i % 4) << (i // 4) for i in range(116))]
_BETWEEN = [low + high for low, high in zip(M, M[1:], strict=False)]
_WORD = 1 << 62  # digits share an integer below this


def order(kept: int, span: int) -> int:
    """The index into M that suits the gaps between `kept` of `span` places.

    The best m is 0.667 / -ln(1 - kept / span), for which (2 span - kept) / (3 kept) stands.
    """
    return bisect_right(_BETWEEN, 2 * (2 * span - kept) // (3 * kept))


@cache
def digits(m: int) -> tuple[int, int]:
    """(how many remainders share one integer, its bits): the fewest bits a remainder, the smaller group if equal."""
    counts = [count for count in range(1, 63) if m**count <= _WORD]
    return min(((count, _width(m, count)) for count in counts), key=lambda group: group[1] / group[0])


def _width(m: int, count: int) -> int:
    return (m**count - 1).bit_length()


def unary(quotients: Numbers) -> Bits:
    """As many zeros as each quotient says, then a one."""
    ones = np.cumsum(quotients + 1)
    flags = np.zeros(int(ones[-1]), np.uint8)
    flags[ones - 1] = 1
    return flags


def remainder_bits(count: int, m: int) -> int:
    """How many bits `count` remainders take."""
    group, width = digits(m)
    return count // group * width + _width(m, count % group)


def pack_remainders(remainders: Numbers, m: int) -> Bits:
    """Whole groups first, then what is left as a smaller one. The first of a group is the lowest digit."""
    group, _ = digits(m)
    whole = len(remainders) // group * group
    return np.concatenate((_pack(remainders[:whole], m, group), _pack(remainders[whole:], m, len(remainders) - whole)))


def unpack_remainders(bits: Bits, count: int, m: int) -> Numbers:
    """`count` remainders from `remainder_bits(count, m)` bits. Raises ProtocolError when they are too large."""
    if m == 1:
        return np.zeros(count, np.int64)
    group, width = digits(m)
    whole = count // group * width
    return np.concatenate((_unpack(bits[:whole], m, group), _unpack(bits[whole:], m, count % group)))


def _pack(remainders: Numbers, m: int, group: int) -> Bits:
    if m == 1 or not len(remainders):
        return np.zeros(0, np.uint8)
    places = np.array([m**i for i in range(group)], np.int64)
    words: Numbers = (remainders.reshape(-1, group) * places).sum(axis=1)
    return words_to_bits(words, _width(m, group))


def _unpack(bits: Bits, m: int, group: int) -> Numbers:
    if not len(bits):
        return np.zeros(0, np.int64)
    words = bits_to_words(bits, _width(m, group))
    remainders = np.empty((len(words), group), np.int64)
    for i in range(group):
        words, remainders[:, i] = np.divmod(words, m)
    if words.any():
        raise ProtocolError("a tensor body holds a remainder that is too large")
    return remainders.ravel()
