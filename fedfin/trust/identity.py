"""A party's own keys, made where they are used and never sent: Ed25519 (RFC 8032) to sign, X25519 (RFC 7748) to open.

signing.key    PEM, PKCS #8, mode 0600: signs what this party says
sealing.key    the same, for X25519: opens what is sealed to this party
broker.key     the same, for P-256: proves to the broker who connects; its certificate is the broker's affair
"""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedfin.errors import StateError
from fedfin.files import make_folder, write_atomically
from fedfin.settings import pattern
from fedfin.trust.certificate_requests import make_key, make_request
from fedfin.trust.weak_keys import is_weak_sealing_key, is_weak_signing_key

SIGNING, SEALING, BROKER = "signing.key", "sealing.key", "broker.key"
KeyHex = Annotated[str, pattern(r"^(?:[0-9a-f]{2}){32}\Z", "a public key: 64 digits 0-9 and a-f")]
_GROUPS = 8  # of four hexadecimal digits: 128 bits, which nobody finds a second key for
_KNOWN = 2048  # keys that were read from their hex, for which that is not done anew at every message
_OTHER = "not the key that belongs there; restore it from a backup, or remove it and ask to be admitted anew"
PrivateKey = Ed25519PrivateKey | X25519PrivateKey | EllipticCurvePrivateKey


class PublicKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What others know of a party: its two public keys, 32 bytes each, in hex. Raises ValueError for weak ones."""

    signing: KeyHex
    sealing: KeyHex

    def __post_init__(self) -> None:
        if is_weak_signing_key(bytes.fromhex(self.signing)) or is_weak_sealing_key(
            bytes.fromhex(self.sealing)
        ):
            raise ValueError(
                "a public key is of small order: no software makes such a key; ask for a new one"
            )

    @property
    def verifier(self) -> Ed25519PublicKey:
        """To check its signatures."""
        return public_key(self.signing)

    @property
    def recipient(self) -> X25519PublicKey:
        """To seal for it."""
        return _recipient(self.sealing)

    @property
    def fingerprint(self) -> str:
        """For people to compare by telephone."""
        return fingerprint(bytes.fromhex(self.signing + self.sealing))


@lru_cache(_KNOWN)
def public_key(key: str) -> Ed25519PublicKey:
    """A public key to check signatures with, from its hex."""
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))


@lru_cache(_KNOWN)
def _recipient(key: str) -> X25519PublicKey:
    return X25519PublicKey.from_public_bytes(bytes.fromhex(key))


def fingerprint(public: bytes) -> str:
    """The first 128 bits of SHA-256, in groups of four digits."""
    digits = hashlib.sha256(public).hexdigest()
    return " ".join(digits[4 * group : 4 * group + 4] for group in range(_GROUPS))


@dataclass(frozen=True)
class Identity:
    """A party's private keys."""

    signing: Ed25519PrivateKey
    sealing: X25519PrivateKey

    @property
    def public(self) -> PublicKeys:
        """What others may know."""
        return PublicKeys(
            signing=self.signing.public_key().public_bytes_raw().hex(),
            sealing=self.sealing.public_key().public_bytes_raw().hex(),
        )


def make_identity(folder: Path) -> Identity:
    """The party's keys: those in the folder, or new ones. Raises StateError."""
    make_folder(folder)
    for name, generate in (
        (SIGNING, Ed25519PrivateKey.generate),
        (SEALING, X25519PrivateKey.generate),
        (BROKER, make_key),
    ):
        if not (folder / name).exists():
            write_key(folder / name, generate())
    return load_identity(folder)


def load_identity(folder: Path) -> Identity:
    """The party's keys. Raises StateError when there are none, or they are damaged."""
    signing, sealing = read_key(folder / SIGNING), read_key(folder / SEALING)
    if not isinstance(signing, Ed25519PrivateKey) or not isinstance(sealing, X25519PrivateKey):
        raise StateError(f"{folder}: {SIGNING} or {SEALING} is {_OTHER}")
    return Identity(signing, sealing)


def write_key(path: Path, key: PrivateKey) -> None:
    """A private key as PEM that only its owner can read. Raises StateError."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(path, pem)  # a temporary file is made with mode 0600, and keeps it
    os.chmod(path, 0o600)  # noqa: PTH101 - whatever write_atomically does one day


def read_key(path: Path) -> object:
    """A private key. Raises StateError."""
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise StateError(f"{path}: there is no such key; `request` makes the keys of a folder") from None
    except OSError as error:
        raise StateError(f"{path}: cannot read the key ({error.strerror}); check permissions") from None
    except (ValueError, TypeError):
        raise StateError(f"{path} is {_OTHER}") from None


def certificate_request(folder: Path, name: str) -> str:
    """What the broker's CA signs, as PEM (PKCS #10): the common name is who the broker will say we are."""
    key = read_key(folder / BROKER)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise StateError(f"{folder / BROKER} is {_OTHER}")
    return make_request(name, key).public_bytes(serialization.Encoding.PEM).decode()
