"""Masks: streams of numbers that look random to all who do not have the seed, added modulo 2^64."""

import msgspec
import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fedfin.errors import ProtocolError

Words = NDArray[np.uint64]
SEED_BYTES = 32
WORD = np.dtype("<u8")
_START = bytes(16)  # each seed makes one stream


def stream(seed: bytes, count: int) -> Words:
    """`count` words of AES-256 in counter mode, [count]."""
    cipher = Cipher(algorithms.AES256(seed), modes.CTR(_START)).encryptor()
    return np.frombuffer(cipher.update(bytes(count * WORD.itemsize)), WORD)


def own_mask(seed: bytes, count: int) -> Words:
    """A site's own, from the seed that it has dealt in shares."""
    return stream(_derived(seed, b"fedfin own mask 1"), count)


def pair_mask(key: X25519PrivateKey, peer: bytes, where: tuple[str, int, bytes], count: int) -> Words:
    """Of two sites, the same from either's private and the other's public key. `where`: run, round and attempt.

    Raises ProtocolError for a key that is no point to agree on.
    """
    try:
        agreed = key.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        raise ProtocolError("a key of the cohort is none to agree on a mask with") from None
    return stream(_derived(agreed, msgspec.msgpack.encode(("fedfin pair mask 1", *where))), count)


def add_pair(total: Words, mask: Words, one: str, other: str) -> None:
    """To the values of `one`: added if its name comes first, else taken away; so that in a sum of both it is gone."""
    if one < other:
        np.add(total, mask, out=total)
    else:
        np.subtract(total, mask, out=total)


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), SEED_BYTES, None, info).derive(secret)
