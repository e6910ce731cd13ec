"""Bytes for several recipients, each its own: the same seals as sealing.py's, made under one ephemeral key.

Of a seal's time three quarters are a new key pair and what goes with it. HPKE's ephemeral key may be one for many
recipients, as each agrees on another secret with it, and each secret is hashed with the recipient's key and `context`
(Bellare, Boldyreva, Staddon 2003: randomness reuse is secure where a scheme is reproducible, as Diffie-Hellman's are).
A recipient sees no difference: it opens what comes with RFC 9180's base mode, as ever.
"""

import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedfin.trust import sealing

_KEM = b"KEM" + (0x0020).to_bytes(2, "big")  # DHKEM(X25519, HKDF-SHA256)
# ... with HKDF-SHA256 and AES-256-GCM
_HPKE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))
_BASE = b"\x00"
_HASH_BYTES, _NONCE_BYTES = 32, 12


class ManySeals:
    """One ephemeral key, which dies with this object. Each recipient and context at most once."""

    def __init__(self) -> None:
        self._key = X25519PrivateKey.generate()
        self._public = self._key.public_key().public_bytes_raw()

    def seal(self, data: bytes, recipient: X25519PublicKey, context: bytes) -> bytes:
        """What `sealing.open_sealed` opens with the recipient's key and this context."""
        return sealing.seal_with(self._new_seal(recipient, context), data, context)

    def _new_seal(self, recipient: X25519PublicKey, context: bytes) -> bytes:
        """As sealing.new_seal."""
        key, nonce = _schedule(self._shared_secret(recipient), context)
        content_key = sealing.new_key()
        return self._public + AESGCM(key).encrypt(nonce, content_key, b"") + content_key

    def _shared_secret(self, recipient: X25519PublicKey) -> bytes:
        """RFC 9180, 4.1: Encap."""
        secret = _extract(_KEM, b"", b"eae_prk", self._key.exchange(recipient))
        where = self._public + recipient.public_bytes_raw()
        return _expand(_KEM, secret, b"shared_secret", where, _HASH_BYTES)


def _schedule(shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """RFC 9180, 5.1: the key and the first nonce of base mode."""
    where = _BASE + _NO_PSK + _extract(_HPKE, b"", b"info_hash", info)
    secret = _extract(_HPKE, shared_secret, b"secret", b"")
    return (
        _expand(_HPKE, secret, b"key", where, _HASH_BYTES),
        _expand(_HPKE, secret, b"base_nonce", where, _NONCE_BYTES),
    )


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    """RFC 9180, 4: LabeledExtract."""
    return hmac.digest(salt, b"HPKE-v1" + suite + label + secret, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """RFC 9180, 4: LabeledExpand, of a hash's size at most."""
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labelled + b"\x01", "sha256")[:size]


_NO_PSK = _extract(_HPKE, b"", b"psk_id_hash", b"")
