"""Several small whole numbers in one word, each in a lane of its own: words are added, and so are the lanes.

A word is the sum of its numbers times 2^(bits * lane), whatever their signs. So is a sum of words, modulo 2^64, with
the sums in place of the numbers; and as long as each of these is from -(2^(bits-1) - 1) to 2^(bits-1) - 1, the word
says which they are. `width` gives lanes that hold as much: no sum overflows, and no lane runs into the next.
"""

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 64
Integers = NDArray[np.int64]


def width(most: int, sites: int) -> int:
    """How many bits hold a sum over so many sites of numbers from -most to most: 2^(width-1) - 1 >= most * sites."""
    return (most * sites).bit_length() + 1


def word_count(count: int, bits: int) -> int:
    """How many words hold so many numbers."""
    return -(-count // (WORD_BITS // bits))


def pack(numbers: Integers, bits: int) -> Integers:
    """[n] to [word_count(n, bits)]: the first number is in the lowest lane of the first word."""
    lanes = WORD_BITS // bits
    padded = np.zeros(word_count(len(numbers), bits) * lanes, np.int64)
    padded[: len(numbers)] = numbers
    words = np.zeros(len(padded) // lanes, np.int64)
    for lane in range(lanes):
        words += padded[lane::lanes] << np.int64(bits * lane)
    return words


def unpack(words: Integers, bits: int, count: int) -> Integers:
    """The numbers, or their sums. Each lane is read with its sign, and taken off before the next one is read."""
    lanes, rest, above = WORD_BITS // bits, words.copy(), np.int64(WORD_BITS - bits)
    numbers = np.empty((len(words), lanes), np.int64)
    for lane in range(lanes):
        numbers[:, lane] = rest << above >> above
        rest = (rest - numbers[:, lane]) >> np.int64(bits)
    return numbers.reshape(-1)[:count]
