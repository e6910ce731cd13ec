"""What all messages share, and bytes into messages; bytes from the network become one of them or a ProtocolError.

On the wire each is a msgpack map with `v` (protocol version), `kind` and its fields. Unknown kinds, unknown fields,
wrong types, oversize and trailing bytes are refused. Essential data is in the payload, never in MQTT properties, so
that any broker will do.
"""

from typing import Any, ClassVar, Literal

import msgspec

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError
from fedfin.plain_text import plain_error

VERSION: Literal[1] = 1
_encoder = msgspec.msgpack.Encoder()


class Message(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag=lambda name: name.lower(),
):
    """The part that all messages share. `private`: with keys, sealed to its one receiver (fedfin/trust/channel.py)."""

    private: ClassVar[bool] = True
    v: Literal[1] = VERSION


def encode(message: Message) -> bytes:
    """The message's bytes."""
    return _encoder.encode(message)


def decode(data: bytes, kind: Any, *, limit: int = limits.CONTROL_BYTES) -> Any:
    """Bytes into one of the messages of `kind` (a class or a union of classes).

    Raises ProtocolError: oversize, malformed, trailing bytes, unknown kind or field, wrong type or range.
    """
    if len(data) > limit:
        raise ProtocolError(f"a message of {len(data)} bytes exceeds the limit of {limit}")
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNDECODABLE as error:
        raise ProtocolError(f"not a message of the protocol: {plain_error(error)}") from None
