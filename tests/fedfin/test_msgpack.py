"""The wire is msgpack that any implementation reads: here the PyPI package `msgpack`, which shares no code with it."""

import json
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from test_messages import BOOT, DIGEST, ONE_OF_EACH, SMALL_MODEL, SMALL_UPDATE

from fedfin.protocol.life import Life
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message, encode
from fedfin.protocol.messages.secure_sums import (
    Cohort,
    Consent,
    Consents,
    Dealing,
    Dealt,
    Ready,
    Reveal,
    SumKey,
    Summed,
    SumMessage,
    Survivors,
)
from fedfin.protocol.messages.shards import Deliver, Enough, Heard, Rewind, Tally
from fedfin.protocol.messages.transfers import Begin
from fedfin.protocol.payloads import GlobalDelta, GlobalModel, Update, encode_delta
from fedfin_aggregator.fold.fold import Fold
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.partial_sum import PartialSum, encode_sum

GOLDEN = json.loads((Path(__file__).parent / "codec/golden/vectors.json").read_text(encoding="utf-8"))
BODIES = [bytes.fromhex(vector["body"]) for case in GOLDEN["cases"] for vector in case["vectors"]]


def _sum() -> bytes:
    """A shard's round of one update."""
    fold, means = Fold(), Means()
    fold.add({"bias": np.float32([1, -2])}, {"bias": 3})
    means.add(100, {"loss": 0.5})
    facts = {"shard": "shard/0", "plan": DIGEST, "round_": 2, "task": "train", "base": 1}
    return encode_sum(fold, means, 0, {"bias": (2,)}, **facts)


TALLY = Tally(
    plan=DIGEST, shards=2, run=BOOT, round=2, accepted=("north",), refused=(), late=("south",), closed=True
)
(MANIFEST,) = [message for message in ONE_OF_EACH if isinstance(message, RoundManifest)]
BEGIN = next(message for message in ONE_OF_EACH if isinstance(message, Begin) and not message.consent)
DELIVER = Deliver(begin=BEGIN, life=Life(1, BOOT))
OF_SHARDS = (TALLY, DELIVER, Enough(run=BOOT, round=2), Heard(), Rewind(manifest=MANIFEST, keep=True))
SIGNATURE = b"s" * 64
OF_AN_ATTEMPT = {"run": BOOT, "round": 2, "attempt": b"a" * 16}
SUM_KEY = SumKey(key=b"k" * 32, commitment=b"c" * 32, signature=SIGNATURE)
SUMS = (
    Ready(run=BOOT, round=2, lost=b"a" * 16),
    Ready(run=BOOT, round=2, lost=b"a" * 16, unopened=("s1",)),
    Cohort(names=("east", "north", "south"), **OF_AN_ATTEMPT),
    Dealing(key=SUM_KEY, shares={}, **OF_AN_ATTEMPT),
    Dealt(keys={"north": SUM_KEY}, shares={}, **OF_AN_ATTEMPT),
    Survivors(names=("east", "north", "south"), **OF_AN_ATTEMPT),
    Consent(signature=SIGNATURE, **OF_AN_ATTEMPT),
    Consents(signatures={"north": SIGNATURE}, **OF_AN_ATTEMPT),
    Reveal(seeds={}, keys={}, **OF_AN_ATTEMPT),
    Summed(run=BOOT, round=2, accepted=True),
)
PAYLOADS = [
    (Update, SMALL_UPDATE),
    (GlobalModel, SMALL_MODEL),
    (GlobalDelta, encode_delta(BODIES[0], BODIES[1], plan=DIGEST, version=4)),
    (PartialSum, _sum()),
]
WIRE = [(type(message), encode(message)) for message in (*ONE_OF_EACH, *SUMS, *OF_SHARDS)] + PAYLOADS


def _plain(value: Any) -> Any:
    """What another implementation must see of a field: maps, arrays, text, bytes, numbers."""
    if isinstance(value, msgspec.Struct):
        every = {f.encode_name: getattr(value, f.name) for f in msgspec.structs.fields(value)}
        fields = {name: _plain(one) for name, one in every.items() if one is not msgspec.UNSET}
        if value.__struct_config__.array_like:
            return list(fields.values())
        tag = value.__struct_config__.tag
        return fields if tag is None else {"kind": tag} | fields
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def test_there_is_one_of_every_kind() -> None:
    """A kind that is added must be added here, too."""
    kinds = {kind for base in (Message, SumMessage) for kind in base.__subclasses__()} - {SumMessage}
    assert {kind for kind, _ in WIRE} == kinds


@pytest.mark.parametrize(("kind", "data"), WIRE, ids=lambda part: getattr(part, "__name__", ""))
def test_another_implementation_reads_every_field(kind: type[Message], data: bytes) -> None:
    """Strictly: text is UTF-8, keys are text, nothing follows."""
    read = msgpack.unpackb(data, raw=False, strict_map_key=True)
    assert read == _plain(msgspec.msgpack.decode(data, type=kind))


@pytest.mark.parametrize(("kind", "data"), WIRE, ids=lambda part: getattr(part, "__name__", ""))
def test_what_another_implementation_writes_is_read(kind: type[Message], data: bytes) -> None:
    """Its own bytes for the same fields mean the same message to us."""
    theirs = msgpack.packb(msgpack.unpackb(data, raw=False), use_bin_type=True)
    assert msgspec.msgpack.decode(theirs, type=kind) == msgspec.msgpack.decode(data, type=kind)


def test_the_golden_bodies_travel_as_binary() -> None:
    """Bodies have a format of their own (docs/codec.md): msgpack carries them byte for byte."""
    for body in BODIES:
        delta = encode_delta(body, b"", plan=DIGEST, version=1)
        assert msgpack.unpackb(delta, raw=False)["set"] == body
