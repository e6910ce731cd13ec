"""Numbers with a geometric distribution to bits and back: Golomb 1966, vectorised, its remainders packed tighter.

A number is `(quotient * base + digit) << shift | low`. Quotients travel in unary in one stream, digits and low bits
in two others: so both ends find every number at once, without a loop over them. A digit whose base is no power of
two would waste part of a bit if it stood alone: as many as pay best share one integer.

The gaps between the values that a sparse tensor keeps are close to geometric. Golomb's code exceeds their entropy
by 0.03 bit a gap, the rounding of its parameter and the digits by 0.01 more: about half a percent of what a kept
value costs. The tables of a range coder and the states of its lanes cost as much in a body of 14 KB.
"""

from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedfin.codec.reader import Bits, bits_to_words, words_to_bits
from fedfin.errors import ProtocolError

Numbers = NDArray[np.int64]


class Code(NamedTuple):
    """One of Golomb's codes: its parameter m is `base << shift`."""

    base: int
    shift: int

    @property
    def m(self) -> int:
        """What numbers are divided by."""
        return self.base << self.shift


# m = 2, 3, then four to an octave: 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ... below 2^32. The nearest of them costs at
# most 0.008 bit a number more than the best m.
CODES = [Code(2, 0), Code(3, 0), *(Code(4 + i % 4, i // 4) for i in range(120))]
_BETWEEN = [low.m + high.m for low, high in pairwise(CODES)]
# base: (digits that share an integer, its bits). Of all groups below 2^62 the one with the fewest bits a digit.
GROUPS = {2: (1, 1), 3: (29, 46), 4: (1, 2), 5: (3, 7), 6: (17, 44), 7: (21, 59)}


def suited(kept: int, span: int) -> int:
    """The index into CODES that suits the gaps between `kept` of `span` places, fewer than a quarter.

    The best m is 0.667 / -ln(1 - kept / span), for which (2 span - kept) / (3 kept) stands.
    """
    return bisect_right(_BETWEEN, 2 * (2 * span - kept) // (3 * kept))


def unary(quotients: Numbers) -> Bits:
    """As many zeros as each quotient says, then a one."""
    ones = np.cumsum(quotients + 1)
    bits = np.zeros(int(ones[-1]), np.uint8)
    bits[ones - 1] = 1
    return bits


def digit_bits(count: int, base: int) -> int:
    """How many bits `count` digits take."""
    group, width = GROUPS[base]
    return count // group * width + _width(base, count % group)


def _width(base: int, count: int) -> int:
    largest: int = base**count - 1
    return largest.bit_length()


def pack_digits(digits: Numbers, base: int) -> Bits:
    """Whole groups first, then what is left as a smaller one. The first of a group is its lowest digit."""
    group, _ = GROUPS[base]
    whole = len(digits) // group * group
    return np.concatenate(
        (_pack(digits[:whole], base, group), _pack(digits[whole:], base, len(digits) - whole))
    )


def unpack_digits(bits: Bits, count: int, base: int) -> Numbers:
    """`count` digits from `digit_bits(count, base)` bits. Raises ProtocolError when an integer is too large."""
    group, width = GROUPS[base]
    words = count // group
    first = _unpack(bits[: words * width], words, base, group)
    return np.concatenate((first, _unpack(bits[words * width :], 1, base, count % group)))


def _pack(digits: Numbers, base: int, group: int) -> Bits:
    places = np.array([base**i for i in range(group)], np.int64)
    words: Numbers = (digits.reshape(-1, max(group, 1)) * places).sum(axis=1)
    return words_to_bits(words, _width(base, group))


def _unpack(bits: Bits, count: int, base: int, group: int) -> Numbers:
    words = bits_to_words(bits, count, _width(base, group), np.int64)
    digits = np.empty((count, group), np.int64)
    for i in range(group):
        words, digits[:, i] = np.divmod(words, base)
    if words.any():
        raise ProtocolError("a tensor body holds digits that are too large")
    return digits.ravel()
