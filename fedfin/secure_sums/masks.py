"""Masks: streams of numbers that look random to all who do not have the seed, added modulo 2^64."""

import msgspec
import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fedfin.errors import ProtocolError

Words = NDArray[np.uint64]
SEED_BYTES = 32
WORD = np.dtype("<u8")
_START = bytes(16)  # each seed makes one stream
_BLOCK = 16 * 1024  # words of each stream at a time, which stay in the processor's cache: a third of the time


def own_seed(secret: bytes) -> bytes:
    """Of a site's own mask, from the secret that it has dealt in shares."""
    return _derived(secret, b"fedfin own mask 1")


def pair_seed(key: X25519PrivateKey, peer: bytes, where: tuple[str, int, bytes]) -> bytes:
    """Of two sites' mask, the same from either's private and the other's public key. `where`: run, round and attempt.

    Raises ProtocolError for a key that is no point to agree on.
    """
    try:
        agreed = key.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        raise ProtocolError("a key of the cohort is none to agree on a mask with") from None
    return _derived(agreed, msgspec.msgpack.encode(("fedfin pair mask 1", *where)))


class Masks:
    """Masks to be put on, or taken off, together."""

    def __init__(self) -> None:
        self._added: list[bytes] = []
        self._taken: list[bytes] = []

    def add(self, seed: bytes) -> None:
        """One."""
        self._added.append(seed)

    def take(self, seed: bytes) -> None:
        """One less."""
        self._taken.append(seed)

    def add_pair(self, seed: bytes, one: str, other: str) -> None:
        """To the values of `one`: added if its name comes first, else taken; so that in a sum of both it is gone."""
        (self._added if one < other else self._taken).append(seed)

    def apply(self, total: Words) -> None:
        """In place. Each mask is the stream of AES-256 in counter mode under its seed, in words."""
        added, taken = ([_stream(seed) for seed in seeds] for seeds in (self._added, self._taken))
        zeros, buffer = bytes(_BLOCK * WORD.itemsize), bytearray(_BLOCK * WORD.itemsize + len(_START))
        words = np.frombuffer(buffer, WORD, _BLOCK)
        for start in range(0, len(total), _BLOCK):
            part = total[start : start + _BLOCK]
            for stream in added:
                stream.update_into(zeros[: part.nbytes], buffer)
                np.add(part, words[: len(part)], out=part)
            for stream in taken:
                stream.update_into(zeros[: part.nbytes], buffer)
                np.subtract(part, words[: len(part)], out=part)


def _stream(seed: bytes) -> CipherContext:
    return Cipher(algorithms.AES256(seed), modes.CTR(_START)).encryptor()


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), SEED_BYTES, None, info).derive(secret)
