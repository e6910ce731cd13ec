"""Where the values are that a sparse tensor keeps: ascending positions to bytes and back, for all such tensors at once.

    order    1 byte a tensor: which of Golomb's codes suits its density (golomb.py)
    then for each order in use, ascending:
    count    LEB128: how many values are kept in the tensors of this order
    length   LEB128: how many bits of unary code they have
    then
    unary    bits, all orders end to end
    digits   bits, all orders end to end

Tensors of one order lie end to end, in the order of their names, as if they were one. So dense and sparse tensors
are each coded at their own density for one byte a tensor.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from fedfin.errors import ProtocolError
from fedfin.protocol.codec import golomb
from fedfin.protocol.codec.golomb import M, Numbers
from fedfin.protocol.codec.reader import Bits, Reader, number, pack


def encode_positions(kept: Sequence[Numbers], sizes: Sequence[int]) -> bytes:
    """`kept`: for each tensor at least one position, ascending, below its size."""
    orders = bytes(golomb.order(len(some), size) for some, size in zip(kept, sizes, strict=True))
    head, unary, digits = orders, [], []
    for order, members in _by_order(orders):
        joined = _join([kept[i] for i in members], [sizes[i] for i in members])
        quotients, remainders = np.divmod(np.diff(joined, prepend=-1) - 1, M[order])
        unary.append(golomb.unary(quotients))
        digits.append(golomb.pack_remainders(remainders, M[order]))
        head += number(len(joined)) + number(len(unary[-1]))
    return head + pack(np.concatenate(unary)) + pack(np.concatenate(digits))


def decode_positions(reader: Reader, sizes: Sequence[int]) -> list[Numbers]:
    """The positions in each tensor. Raises ProtocolError when they are not what `encode_positions` writes."""
    orders = bytes(reader.take(len(sizes)))
    if max(orders) >= len(M):
        raise ProtocolError("a tensor body names an unknown Golomb code")
    spans = {order: sum(sizes[i] for i in members) for order, members in _by_order(orders)}
    # A quotient is at most span / m, so that a stream of unary code is shorter than twice its span.
    heads = {order: (reader.number(span), reader.number(2 * span)) for order, span in spans.items()}
    unary = _split(reader, [length for _, length in heads.values()])
    digits = _split(reader, [golomb.remainder_bits(count, M[order]) for order, (count, _) in heads.items()])
    kept: list[Numbers] = [np.zeros(0, np.int64)] * len(sizes)
    for (order, members), some, rest in zip(_by_order(orders), unary, digits, strict=True):
        joined = _decode(some, rest, heads[order][0], M[order], spans[order])
        for i, part in zip(members, _cut(joined, [sizes[i] for i in members]), strict=True):
            kept[i] = part
    return kept


def _by_order(orders: bytes) -> list[tuple[int, list[int]]]:
    return [(order, [i for i, one in enumerate(orders) if one == order]) for order in sorted(set(orders))]


def _join(kept: Sequence[Numbers], sizes: Sequence[int]) -> Numbers:
    starts = accumulate(sizes, initial=0)
    return np.concatenate([some + start for some, start in zip(kept, starts, strict=False)])


def _cut(joined: Numbers, sizes: Sequence[int]) -> list[Numbers]:
    starts = list(accumulate(sizes, initial=0))
    parts = np.split(joined, np.searchsorted(joined, starts[1:-1]))
    return [part - start for part, start in zip(parts, starts, strict=False)]


def _split(reader: Reader, lengths: Sequence[int]) -> list[Bits]:
    return np.split(reader.bits(sum(lengths)), list(accumulate(lengths))[:-1])


def _decode(unary: Bits, digits: Bits, count: int, m: int, span: int) -> Numbers:
    """The position of one i, at `ends[i]`, is the sum of all gaps so far: quotients * m + remainders + i."""
    if not len(unary) or not unary[-1] or np.count_nonzero(unary) != count:
        raise ProtocolError("a tensor body's positions are not as many as it says")
    if (len(unary) - count) * m >= span:
        raise ProtocolError("a tensor body's positions reach beyond its tensors")
    ranks = np.arange(count)
    joined: Numbers = (np.flatnonzero(unary) - ranks) * m + np.cumsum(golomb.unpack_remainders(digits, count, m)) + ranks
    if joined[-1] >= span:
        raise ProtocolError("a tensor body's positions reach beyond its tensors")
    return joined
