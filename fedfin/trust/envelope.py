"""Signed control messages. On the wire: a msgpack array [version, counter, sealed, signature, body].

The signature (Ed25519) covers what kind of bytes these are, the run, the topic, which names sender and receiver, the
counter, whether the body is sealed, and the body. Chunks are not signed: the outline in a signed message holds their
digests.
"""

from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedfin import limits
from fedfin.errors import ProtocolError

DOMAIN = "fedfin envelope 1"
OVERHEAD_BYTES = 1024  # of envelope and sealing, beside padding
_SIGNATURE = 64


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One message as it travels."""

    version: Literal[1]
    counter: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    sealed: bool
    signature: Annotated[bytes, msgspec.Meta(min_length=_SIGNATURE, max_length=_SIGNATURE)]
    body: bytes


def sign(body: bytes, key: Ed25519PrivateKey, *, run: str, topic: str, counter: int, sealed: bool) -> bytes:
    """A message in its envelope."""
    signature = key.sign(_signed_bytes(run, topic, counter, sealed, body))
    return msgspec.msgpack.encode(Envelope(1, counter, sealed, signature, body))


def verify(data: bytes, key: Ed25519PublicKey, *, run: str, topic: str) -> Envelope:
    """The envelope, if this key signed it for this run and topic. Raises ProtocolError."""
    if (
        len(data) > limits.CONTROL_BYTES + limits.CONTROL_BYTES // 8 + OVERHEAD_BYTES
    ):  # padding adds an eighth
        raise ProtocolError(f"a message of {len(data)} bytes is too large")
    try:
        envelope = msgspec.msgpack.decode(data, type=Envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ProtocolError(
            "it is not signed: its sender runs without keys, or is no party of this run"
        ) from None
    if (
        msgspec.msgpack.encode(envelope) != data
    ):  # one message, one form: nobody on the way can make it look like two
        raise ProtocolError("it is not in the form in which it was signed")
    try:
        signed = _signed_bytes(run, topic, envelope.counter, envelope.sealed, envelope.body)
        key.verify(envelope.signature, signed)
    except InvalidSignature:
        raise ProtocolError(
            "its signature is not by the key that the charter names, for this run and topic"
        ) from None
    return envelope


def _signed_bytes(run: str, topic: str, counter: int, sealed: bool, body: bytes) -> bytes:
    return msgspec.msgpack.encode((DOMAIN, run, topic, counter, sealed, body))
