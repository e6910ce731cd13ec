"""Whose a thing is, as a keyed hash: HMAC-SHA256 (RFC 2104) under a key that is made here and never leaves.

Without the key nobody can tell whether a given patient is in the store; with another key a patient would get
another hash, and so perhaps another side of the split: a lost key is an error, never made anew.
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from pathlib import Path
from typing import Literal

from fedfin.errors import StateError
from fedfin.files import read_at_most, why, write_atomically

KEY = "intake.key"
KEY_BYTES = 32
_SHIFT_BITS = 61  # a moment in microseconds has 51: what is left of it in the sum is nothing to speak of

Kind = Literal["accession", "study", "patient", "object", "image", "text", "file", "key"]


class Identity:
    """Hashes under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, kind: Kind, value: str | bytes) -> bytes:
        """32 bytes. White space around an identifier is none of it; kinds never collide."""
        content = value.strip().encode() if isinstance(value, str) else value
        return hmac.digest(self._key, f"fedfin {kind}\n".encode() + content, hashlib.sha256)

    def known(self, kind: Kind, value: str) -> bytes | None:
        """The hash, or None of a blank identifier."""
        return self.hash(kind, value) if value.strip() else None

    def owner(self, accession: str, study: str) -> bytes | None:
        """By what a thing is found: its accession number or, without one, its study."""
        return self.known("accession", accession) or self.known("study", study)

    def shifted(self, owner: bytes, moment: datetime) -> int:
        """A moment in microseconds, moved by a secret distance that is its owner's.

        Two versions of one report stay in order, and no date is kept.
        """
        distance = int.from_bytes(
            hmac.digest(self._key, b"fedfin shift\n" + owner, hashlib.sha256)[:8], "big"
        )
        return int(moment.timestamp() * 1_000_000) + (distance >> (64 - _SHIFT_BITS))

    @property
    def check(self) -> bytes:
        """By which a store recognizes its key."""
        return self.hash("key", b"")


def open_identity(folder: Path, *, make: bool) -> Identity:
    """The key in this folder. `make`: where there is none yet, one is made, for its user alone.

    Raises StateError when it is not there or not a key.
    """
    path = folder / KEY
    if make and not path.exists():
        write_atomically(path, secrets.token_bytes(KEY_BYTES))
    try:
        key = read_at_most(path, KEY_BYTES)
    except OSError as error:
        raise StateError(
            f"{path}: cannot read the intake's key ({why(error)}); put it back from your backup: with another one every"
            " patient would be somebody else"
        ) from None
    if len(key) != KEY_BYTES:
        raise StateError(f"{path}: is not a key of {KEY_BYTES} bytes; put it back from your backup")
    return Identity(key)
