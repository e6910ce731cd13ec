"""Bytes that only who they are meant for can read, in sizes that say little.

A payload is padded, encrypted with AES-256-GCM under a key of its own, and that key is sealed with HPKE (RFC 9180, base
mode: X25519, HKDF-SHA256, AES-256-GCM) to the recipient. `context` says what the bytes are (who to whom, run, round):
under any other context they do not open. Base mode says nothing about the sender: signatures do (envelope.py).
Not HPKE for the whole: for 5 MB that takes 5 ms at each end, this 1.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fedfin.errors import ProtocolError
from fedfin.protocol.padding import pad, unpad

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEY, _TAG, _NONCE = 32, 16, 12
_SEALED_KEY = 32 + _KEY + _TAG
_FIRST_NONCE = bytes(_NONCE)  # each key encrypts once


def seal(data: bytes, recipient: X25519PublicKey, context: bytes) -> bytes:
    """For one recipient."""
    return seal_with(new_seal(recipient, context), data, context)


def new_seal(recipient: X25519PublicKey, context: bytes) -> bytes:
    """A content key, sealed to the recipient, and behind it the key itself: for one message, and a secret till then."""
    key = new_key()
    return _SUITE.encrypt(key, recipient, context) + key


def new_key() -> bytes:
    """For one message's content."""
    return os.urandom(_KEY)


def seal_with(new: bytes, data: bytes, context: bytes) -> bytes:
    """The same bytes for the same data, so that a sender need not keep what is sealed. Never for other data."""
    sealed_key, key = new[:_SEALED_KEY], new[_SEALED_KEY:]
    return sealed_key + AESGCM(key).encrypt(_FIRST_NONCE, pad(data), context)


def open_sealed(sealed: bytes, key: X25519PrivateKey, context: bytes) -> bytes:
    """What was sealed for us. Raises ProtocolError."""
    view = memoryview(sealed)
    try:
        content_key = _SUITE.decrypt(bytes(view[:_SEALED_KEY]), key, context)
        return unpad(AESGCM(content_key).decrypt(_FIRST_NONCE, view[_SEALED_KEY:], context))
    except (InvalidTag, ValueError):
        raise ProtocolError("it is not sealed for this party, run and round, or was changed") from None


def seal_for_group(data: bytes, key: bytes, context: bytes) -> bytes:
    """For all who have the group's key (32 bytes)."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, pad(data), context)


def open_for_group(sealed: bytes, key: bytes, context: bytes) -> bytes:
    """What was sealed for the group. Raises ProtocolError."""
    view = memoryview(sealed)
    try:
        return unpad(AESGCM(key).decrypt(bytes(view[:_NONCE]), view[_NONCE:], context))
    except (InvalidTag, ValueError):
        raise ProtocolError("it is not sealed with this run's group key, or was changed") from None
