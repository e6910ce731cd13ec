"""Where the values are that sparse tensors keep: ascending positions to bytes and back, for all tensors at once.

    code     1 byte a tensor: which of Golomb's codes suits its density (golomb.py)
    count    LEB128 for each code in use, ascending: how many values the tensors of this code keep
    length   LEB128: how many bits the unary codes take
    unary    bits: the quotients, code by code
    digits   bits, code by code
    low      bits, code by code

Tensors of one code lie end to end, in the order of their names, as if they were one: so dense and sparse tensors are
each coded at their own density for one byte a tensor. A number that is coded is a gap: how many values are not kept
between one that is and the one before it.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from fedfin.codec import golomb
from fedfin.codec.golomb import CODES, Code, Numbers
from fedfin.codec.reader import Bits, Reader, bits_to_words, number, pack, words_to_bits
from fedfin.errors import ProtocolError


def encode_positions(kept: Sequence[Numbers], sizes: Sequence[int]) -> bytes:
    """`kept`: for each tensor its positions, ascending: at least one, and fewer than a quarter of its size."""
    codes = bytes(golomb.suited(len(some), size) for some, size in zip(kept, sizes, strict=True))
    counts, unary, digits, low = b"", [], [], []
    for index, members in _by_code(codes):
        base, shift = CODES[index]
        joined = _join([kept[i] for i in members], [sizes[i] for i in members])
        gaps = np.diff(joined, prepend=-1) - 1
        quotients, rest = np.divmod(gaps >> shift, base)
        counts += number(len(gaps))
        unary.append(golomb.unary(quotients))
        digits.append(golomb.pack_digits(rest, base))
        low.append(words_to_bits(gaps, shift))
    streams = [np.concatenate(stream) for stream in (unary, digits, low)]
    return b"".join((codes, counts, number(len(streams[0])), *map(pack, streams)))


def decode_positions(reader: Reader, sizes: Sequence[int]) -> list[Numbers]:
    """The positions in each tensor. Raises ProtocolError when they are not what `encode_positions` writes."""
    indices = bytes(reader.take(len(sizes)))
    if max(indices) >= len(CODES):
        raise ProtocolError("a tensor body names an unknown Golomb code")
    groups = [(CODES[index], members) for index, members in _by_code(indices)]
    spans = [sum(sizes[i] for i in members) for _, members in groups]
    counts = [_read_count(reader, code, span) for (code, _), span in zip(groups, spans, strict=True)]
    unary = _read_unary(reader, counts, sum(sizes))
    each = [(count, code) for count, (code, _) in zip(counts, groups, strict=True)]
    digits = _read(reader, [golomb.digit_bits(count, code.base) for count, code in each])
    low = _read(reader, [count * code.shift for count, code in each])
    kept: dict[int, Numbers] = {}
    for j, (code, members) in enumerate(groups):
        joined = _positions(code, unary[j], digits[j], low[j], spans[j])
        kept.update(zip(members, _cut(joined, [sizes[i] for i in members]), strict=True))
    return [kept[i] for i in range(len(sizes))]


def _by_code(indices: bytes) -> list[tuple[int, list[int]]]:
    """Each code in use, ascending, and the tensors that use it."""
    return [(code, [i for i, other in enumerate(indices) if other == code]) for code in sorted(set(indices))]


def _join(kept: Sequence[Numbers], sizes: Sequence[int]) -> Numbers:
    starts = accumulate(sizes, initial=0)
    return np.concatenate([some + start for some, start in zip(kept, starts, strict=False)])


def _cut(joined: Numbers, sizes: Sequence[int]) -> list[Numbers]:
    starts = list(accumulate(sizes, initial=0))
    parts = np.split(joined, np.searchsorted(joined, starts[1:-1]))
    return [part - start for part, start in zip(parts, starts, strict=False)]


def _read_count(reader: Reader, code: Code, span: int) -> int:
    """Fewer than a quarter, in the code that suits each of the tensors and so all of them: this bounds the streams."""
    count = reader.number((span - 1) // 4)
    if not count or CODES[golomb.suited(count, span)] != code:
        raise ProtocolError("a tensor body's positions are not in the Golomb code that suits their number")
    return count


def _read_unary(reader: Reader, counts: Sequence[int], span: int) -> list[Numbers]:
    """For each code the sum of its quotients so far, at each of its numbers."""
    # A quotient is no larger than its gap, and all gaps and ones together fill at most the span.
    bits = reader.bits(reader.number(span))
    if not len(bits) or not bits[-1] or np.count_nonzero(bits) != sum(counts):
        raise ProtocolError("a tensor body's positions are not as many as it says")
    ends = np.flatnonzero(bits)
    ends -= np.arange(len(ends))
    parts = np.split(ends, list(accumulate(counts))[:-1])
    return [part - before for part, before in zip(parts, [0, *(part[-1] for part in parts)], strict=False)]


def _read(reader: Reader, lengths: Sequence[int]) -> list[Bits]:
    return np.split(reader.bits(sum(lengths)), list(accumulate(lengths))[:-1])


def _positions(code: Code, quotients: Numbers, digits: Bits, low: Bits, span: int) -> Numbers:
    """A position is the sum of all gaps so far and of the values kept before it."""
    if int(quotients[-1]) * code.m >= span:
        raise ProtocolError("a tensor body's positions reach beyond its tensors")
    count = len(quotients)
    joined: Numbers = quotients * code.base + np.cumsum(golomb.unpack_digits(digits, count, code.base))
    joined = (
        (joined << code.shift) + np.cumsum(bits_to_words(low, count, code.shift, np.int64)) + np.arange(count)
    )
    if joined[-1] >= span:
        raise ProtocolError("a tensor body's positions reach beyond its tensors")
    return joined
