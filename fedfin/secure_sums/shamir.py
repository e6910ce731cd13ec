"""Shamir's secret sharing (1979): any `threshold` of the shares give the secret, fewer say nothing about it.

Over the integers modulo the Mersenne prime 2^521 - 1; a share is a random polynomial's value at its holder's place.
"""

import secrets
from collections.abc import Iterable, Mapping

PRIME = 2**521 - 1
SHARE_BYTES = 66
SECRET_BYTES = 32


def split(secret: bytes, threshold: int, holders: int) -> list[bytes]:
    """The shares of holders 1, 2, ..., of 66 bytes each."""
    polynomial = [int.from_bytes(secret, "big"), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return [_value(polynomial, place).to_bytes(SHARE_BYTES, "big") for place in range(1, holders + 1)]


def join(shares: Mapping[int, bytes]) -> bytes:
    """The secret, from at least `threshold` shares by their holders' places.

    Of wrong shares something else comes out, or ValueError.
    """
    total = sum(
        int.from_bytes(share, "big") * _weight(place, shares.keys()) for place, share in shares.items()
    )
    try:
        return (total % PRIME).to_bytes(SECRET_BYTES, "big")
    except OverflowError:
        raise ValueError("these are no shares of one secret") from None


def _value(polynomial: list[int], place: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * place + coefficient) % PRIME
    return value


def _weight(place: int, places: Iterable[int]) -> int:
    """Lagrange's, at zero."""
    above, below = 1, 1
    for other in places:
        if other != place:
            above = above * other % PRIME
            below = below * (other - place) % PRIME
    return above * pow(below, -1, PRIME)
