"""Documents that people mail to each other: JSON, and a last line that signs the bytes above it.

    {
      "format": "fedfin charter 1",
      ...
    }
    signature: ed25519 3045...

What is signed begins with what kind of document it is, so that none passes for another kind.
"""

import re
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedfin.errors import SettingsError
from fedfin.files import why
from fedfin.plain_text import plain_error
from fedfin.settings import explain

MOST_BYTES = 4 * 2**20
_SIGNED = re.compile(r"(.*\n)signature: ed25519 ([0-9a-f]{128})\n\Z", re.DOTALL)
_T = TypeVar("_T", bound=msgspec.Struct)


def sign(document: msgspec.Struct, domain: str, key: Ed25519PrivateKey) -> str:
    """The document's text, signed."""
    body = msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"
    return f"{body}signature: ed25519 {key.sign(_signed_bytes(domain, body)).hex()}\n"


def parse(text: str, kind: type[_T], what: str) -> _T:
    """The document, its signature not yet checked. Raises SettingsError; `what` names it."""
    match = _SIGNED.match(text)
    if match is None:
        raise SettingsError(f"{what}: not a signed document of FedFIN, or cut; ask for it again")
    try:
        return msgspec.json.decode(match[1], type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = explain(plain_error(error), kind)
        raise SettingsError(f"{what}: not what it should be: {reason}; ask for it again") from None


def verify(text: str, domain: str, key: Ed25519PublicKey, what: str) -> None:
    """Check who signed it. Raises SettingsError."""
    match = _SIGNED.match(text)
    body, signature = ("", "") if match is None else match.groups()
    try:
        key.verify(bytes.fromhex(signature), _signed_bytes(domain, body))
    except InvalidSignature:
        raise SettingsError(
            f"{what}: its signature is not by the key that it must be signed with: it was changed on the way,"
            " or comes from somebody else; ask for it again, and compare fingerprints by telephone"
        ) from None


def read_text(path: Path, what: str) -> str:
    """A document's file. Raises SettingsError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError(f"{path}: too large for {what}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read {what} ({why(error)}); check the path") from None


def _signed_bytes(domain: str, body: str) -> bytes:
    return f"{domain}\0{body}".encode()
