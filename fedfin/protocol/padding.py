"""Sizes on the way that say little: what is sealed is padded before, and limits leave room for that."""

from fedfin.errors import ProtocolError

LEAST_BYTES = 256
SEALED_BYTES = 128  # key, nonce, tag and epoch of what is sealed (fedfin/trust/sealing.py), generously
_LENGTH = 8


def padded_size(size: int) -> int:
    """Padmé (Nikitin et al., PoPETs 2019): at most 12 % more, and few different sizes; here at least LEAST_BYTES."""
    size = max(size, LEAST_BYTES)
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def most_sealed_bytes(size: int) -> int:
    """What `size` bytes become at most when they are padded and sealed."""
    return padded_size(size + _LENGTH) + SEALED_BYTES


def pad(data: bytes) -> bytes:
    """Its length, the data, zeros."""
    used = _LENGTH + len(data)
    return b"".join((len(data).to_bytes(_LENGTH, "big"), data, bytes(padded_size(used) - used)))


def unpad(padded: bytes) -> bytes:
    """The data. Raises ProtocolError."""
    size = int.from_bytes(padded[:_LENGTH], "big")
    if size > len(padded) - _LENGTH:
        raise ProtocolError("its padding is damaged")
    return padded[_LENGTH : _LENGTH + size]
