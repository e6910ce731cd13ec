"""Public keys of small order, which nobody makes by chance: with one, anything is signed, or everybody can open.

RFC 7748, 6.1, has the X25519 exchange with one fail. An Ed25519 point is of small order where its image on Curve25519
is (RFC 7748, 4.1: u = (1 + y) / (1 - y)).
"""

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_PRIME = 2**255 - 19
_KEY_BYTES, _WITHOUT_SIGN = 32, 2**255 - 1
_ANY = X25519PrivateKey.from_private_bytes(bytes(range(_KEY_BYTES)))
_KNOWN = 2048  # keys, as many as identity.py keeps


@lru_cache(_KNOWN)
def is_weak_sealing_key(key: bytes) -> bool:
    """Of 32 bytes, an X25519 public key."""
    try:
        _ANY.exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return True
    return False


@lru_cache(_KNOWN)
def is_weak_signing_key(key: bytes) -> bool:
    """Of 32 bytes, an Ed25519 public key."""
    y = (int.from_bytes(key, "little") & _WITHOUT_SIGN) % _PRIME
    if y == 1:  # the neutral point has no image
        return True
    u = (1 + y) * pow(1 - y, -1, _PRIME) % _PRIME
    return is_weak_sealing_key(u.to_bytes(_KEY_BYTES, "little"))
