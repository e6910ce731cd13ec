"""Every message and payload: round trips, hostile bytes, prefixes and flipped bits."""

import math
import re
import resource
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedfin import limits
from fedfin.codec import compress
from fedfin.declines import CAUSES
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task
from fedfin.names import NAME
from fedfin.plan import Plan
from fedfin.plan_sections import Modality
from fedfin.protocol import transfer
from fedfin.protocol.messages.channels import DownControl, UpControl
from fedfin.protocol.messages.joining import Decline, Evict, GroupKeys, Hello, Welcome
from fedfin.protocol.messages.manifest import Part, RoundManifest, Want
from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.presence import AggregatorState, SiteState, Twin
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing, Outline, Receipt
from fedfin.protocol.payloads import (
    GlobalModel,
    Update,
    decode_model,
    decode_payload,
    encode_model,
    encode_update,
    open_update,
)
from fedfin.protocol.topics import Topics
from fedfin.protocol.versions import OURS

DIGEST, BOOT, ID = "a" * 64, "b" * 16, b"i" * 32
PLAN = Plan(federation="ward", labels=("x",), modalities=(Modality(name="image", encoder=DIGEST, dim=2),))
SHAPES = {"bias": (2,), "weight": (2, 3)}


def _part(version: int, size: int) -> Part:
    return Part(version=version, outline=transfer.outline(b"x" * size, 1024))


ids = st.binary(min_size=32, max_size=32)
boots = st.text("0123456789abcdef", min_size=16, max_size=16)
names = st.from_regex(NAME, fullmatch=True)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
counts = st.integers(0, 2**31 - 1)
seconds = st.floats(0.0, 2.0**39)
parties = st.sampled_from([msgspec.UNSET, OURS])
reasons = st.text(max_size=limits.REASON_CHARS)
bitmaps = st.binary(min_size=1, max_size=512)
outlines = st.binary(min_size=1, max_size=5000).map(lambda data: transfer.outline(data, 1024))
ANY_MESSAGE = st.one_of(
    st.builds(Hello, boot=boots, encoders=st.dictionaries(names, digests, max_size=3), party=parties),
    st.builds(Welcome, run=boots, plan=st.just(PLAN), party=parties),
    st.builds(Evict, reason=reasons),
    st.builds(Decline, run=boots, cause=st.sampled_from(list(CAUSES))),
    st.builds(Twin, boot=boots, here=seconds, there=seconds),
    st.builds(Begin, run=boots, round=counts, outline=outlines),
    st.builds(Missing, id=ids, bitmap=bitmaps),
    st.builds(Receipt, id=ids, accepted=st.booleans(), reason=reasons),
    st.builds(Want, part=st.sampled_from(["snapshot", "delta"]), version=counts, bitmap=bitmaps),
    st.builds(Chunk, id=ids, index=st.integers(0, 4095), data=st.binary(min_size=1, max_size=99)),
    st.builds(SiteState, online=st.booleans(), boot=boots),
    st.builds(AggregatorState, online=st.booleans(), boot=boots),
    st.builds(
        RoundManifest,
        run=boots,
        round=counts,
        task=st.sampled_from(get_args(Task)),
        state=st.sampled_from(["open", "finished"]),
        version=st.just(7),
        model=ids,
        snapshot=st.builds(Part, version=st.just(7), outline=outlines),
        deltas=st.just(()),
    ),
)
ONE_OF_EACH = [
    Hello(boot=BOOT, encoders={"image": DIGEST}),
    Welcome(run=BOOT, plan=PLAN),
    Evict(reason="no"),
    Decline(run=BOOT, cause="patients"),
    Twin(boot=BOOT, here=1.0, there=2.0),
    GroupKeys(first=1, keys=(ID, ID)),
    Begin(run=BOOT, round=1, outline=transfer.outline(b"x" * 2000, 1024)),
    Begin(run=BOOT, round=1, outline=transfer.outline(b"x" * 2000, 1024), consent=b"c" * 64),
    Missing(id=ID, bitmap=b"\1"),
    Receipt(id=ID, accepted=True),
    Want(part="delta", version=1, bitmap=b"\1"),
    Chunk(id=ID, index=0, data=b"x"),
    SiteState(online=True, boot=BOOT),
    AggregatorState(online=True, boot=BOOT),
    RoundManifest(
        run=BOOT,
        round=1,
        task="train",
        state="open",
        version=4,
        model=ID,
        snapshot=_part(3, 2000),
        deltas=(_part(4, 100),),
    ),
]
EVERY_KIND = UpControl | DownControl | Chunk | SiteState | AggregatorState


def _pack(message, **changes) -> bytes:
    """The message's bytes with some fields changed, added, or (None) left out."""
    raw = msgspec.msgpack.decode(msgspec.msgpack.encode(message)) | changes
    return msgspec.msgpack.encode({key: value for key, value in raw.items() if value is not None})


def _encode(deltas, metrics=None, shapes=SHAPES) -> bytes:
    return encode_update(
        compress(deltas, shapes, "exact").body,
        dict.fromkeys(deltas, 3),
        shapes,
        site="s0",
        plan=DIGEST,
        run="0" * 16,
        round_=2,
        task="train",
        base=1,
        metrics={"loss": 0.5} if metrics is None else metrics,
    )


SMALL_UPDATE = _encode({"bias": np.float32([1, -2]), "weight": np.ones((2, 3), np.float32)})
SMALL_MODEL = encode_model(
    {"bias": np.float32([1, -2]), "weight": np.ones((2, 3), np.float32)}, plan=DIGEST, version=4
)


def _update(**changes) -> bytes:
    """An update, changed as asked."""
    return msgspec.msgpack.encode(msgspec.msgpack.decode(SMALL_UPDATE) | changes)


def _read_update(data: bytes):
    values, _ = open_update(decode_payload(data, Update), SHAPES)
    return values


@given(ANY_MESSAGE)
@settings(max_examples=300, deadline=None)
def test_every_message_survives_the_wire(message) -> None:
    """As itself, and told apart from every other kind."""
    assert decode(encode(message), EVERY_KIND) == message


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=9),
        st.lists(st.floats(-limits.VALUE_ABS, limits.VALUE_ABS, width=32), min_size=1, max_size=9),
        max_size=4,
    ),
    st.dictionaries(
        st.text(min_size=1, max_size=9), st.floats(allow_nan=False, allow_infinity=False), max_size=4
    ),
)
@settings(max_examples=100, deadline=None)
def test_an_update_survives_the_wire(values: dict, metrics: dict) -> None:
    """Bit for bit as float32; the same input gives the same bytes in any order of names."""
    deltas = {name: np.float32(row) for name, row in values.items()}
    shapes = {name: array.shape for name, array in deltas.items()} | {"never sent": (3,)}
    data = _encode(deltas, metrics, shapes)
    update = decode_payload(data, Update)
    read, weights = open_update(update, shapes)
    assert all(read[name].tobytes() == deltas[name].tobytes() for name in deltas)
    assert weights == dict.fromkeys(deltas, 3)
    assert update.metrics == metrics
    assert data == _encode(
        dict(reversed(deltas.items())), dict(reversed(metrics.items())), dict(reversed(shapes.items()))
    )


def test_a_model_survives_the_wire() -> None:
    """With its version; another plan's, or one that lacks a tensor, does not."""
    version, tensors = decode_model(SMALL_MODEL, plan=DIGEST, shapes=SHAPES)
    assert version == 4
    assert tensors["bias"].tolist() == [1, -2]
    with pytest.raises(ProtocolError, match="another plan"):
        decode_model(SMALL_MODEL, plan="c" * 64, shapes=SHAPES)
    half = GlobalModel(plan=DIGEST, version=4, body=compress({"bias": tensors["bias"]}, SHAPES, "exact").body)
    with pytest.raises(ProtocolError, match="lacks tensor weight and 0 more"):
        decode_model(msgspec.msgpack.encode(half), plan=DIGEST, shapes=SHAPES)


_BY_KIND = {type(message): message for message in ONE_OF_EACH}
HELLO, CHUNK, RECEIPT, BEGIN = (_BY_KIND[kind] for kind in (Hello, Chunk, Receipt, Begin))
HOSTILE_MESSAGES = {
    "unknown kind": (_pack(HELLO, kind="exec"), "Invalid value 'exec'"),
    "no kind": (_pack(HELLO, kind=None), "missing required field `kind`"),
    "another kind's channel": (_pack(SiteState(online=True, boot=BOOT)), "Invalid value 'sitestate'"),
    "unknown field": (_pack(HELLO, shell="sh"), "unknown field `shell`"),
    "missing field": (_pack(HELLO, boot=None), "missing required field `boot`"),
    "wrong type": (_pack(RECEIPT, accepted="yes"), "Expected `bool`, got `str`"),
    "wrong version": (_pack(HELLO, v=2), r"Invalid enum value 2 - at `\$.v`"),
    "boot with newline": (_pack(HELLO, boot=BOOT + "\n"), "matching regex"),
    "digest with newline": (_pack(HELLO, encoders={"image": DIGEST + "\n"}), "matching regex"),
    "short id": (_pack(RECEIPT, id=b"i"), "length >= 32"),
    "long reason": (_pack(RECEIPT, reason="x" * 501), "length <= 500"),
    "negative round": (_pack(BEGIN, round=-1), ">= 0"),
    "huge round": (_pack(BEGIN, round=2**63), "<= 2147483647"),
    "digests do not fit size": (
        _pack(BEGIN, outline=msgspec.to_builtins(BEGIN.outline, builtin_types=(bytes,)) | {"size": 9999}),
        "does not fit size",
    ),
    "trailing bytes": (_pack(HELLO) + b"\0", "trailing characters"),
    "oversize": (_pack(HELLO) + bytes(limits.CONTROL_BYTES), "exceeds the limit"),
    "empty": (b"", "truncated"),
    "not a map": (b"\x93\x01\x02\x03", "Expected `object`, got `array`"),
    "json": (b'{"kind":"hello"}', "not a message"),
    "invalid utf-8": (_pack(HELLO).replace(b"image", b"\xff\xfe\xfd\xfc\xfb"), "not a message"),
    "map of 4 billion": (b"\xdf\xff\xff\xff\xff\xa4kind", "truncated"),
    "text of 4 billion": (b"\x82\xa4kind\xa5hello\xa4boot\xdb\xff\xff\xff\xff", "truncated"),
    "nested too deep": (b"\x82\xa4kind\xa5hello\xa1x" + b"\x91" * 100_000, "not a message"),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE_MESSAGES.values(), ids=HOSTILE_MESSAGES)
def test_hostile_messages_are_refused_by_name(data: bytes, reason: str) -> None:
    """One literal per error, each with its own reason."""
    with pytest.raises(ProtocolError, match=reason):
        decode(data, UpControl | DownControl)


MANIFEST = _BY_KIND[RoundManifest]


@pytest.mark.parametrize(
    ("snapshot", "deltas", "reason"),
    [
        (3, [], "no deltas lead from the snapshot"),
        (5, [4], "no deltas lead from the snapshot"),
        (2, [4], "no deltas lead from the snapshot"),
        (1, [2, 4], "do not lead to the version one by one"),
        (3, [3], "do not lead to the version one by one"),
        (3, [4, 5], "do not lead to the version one by one"),
        (4, [4] * 33, "length <= 32"),
    ],
)
def test_a_manifest_leads_to_its_version_or_is_refused(snapshot: int, deltas: list[int], reason: str) -> None:
    """A site never sets out on a way with a gap."""
    parts = [_part(version, 10) for version in deltas]
    data = _pack(MANIFEST, snapshot=_part(snapshot, 2000), deltas=parts)
    with pytest.raises(ProtocolError, match=reason):
        decode(data, RoundManifest)


def test_a_manifest_whose_deltas_outweigh_its_snapshot_is_refused() -> None:
    """It would cost a site more memory than the model. What padding and sealing add is allowed for."""
    with pytest.raises(ProtocolError, match="larger than the snapshot"):
        decode(_pack(MANIFEST, deltas=[_part(4, 4001)]), RoundManifest)


def _metrics(metrics: dict) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.decode(SMALL_UPDATE) | {"metrics": metrics})


HOSTILE_UPDATES = {
    "negative weight": (_update(weights=[-1, 3]), ">= 0"),
    "weight beyond what a site can claim": (
        _update(weights=[limits.SITE_WEIGHT + 1, 3]),
        f"<= {limits.SITE_WEIGHT}",
    ),
    "a weight too few": (_update(weights=[3]), "has 1 weights for 2 tensors"),
    "too many weights": (_update(weights=[0] * (limits.TENSORS + 1)), "length <= 4096"),
    "a weight without a value": (
        _update(body=compress({}, SHAPES, "exact").body),
        "tensor bias has a value without a weight, or a weight without a value",
    ),
    "a value without a weight": (_update(weights=[3, 0]), "tensor weight has a value without a weight"),
    "list of floats": (_update(body=[0.0, 0.0]), "Expected `bytes`"),
    "no body": (_update(body=b""), "a tensor body .*ends .*early"),
    "unknown field": (_update(scale=2.0), "unknown field `scale`"),
    "NaN metric": (_metrics({"loss": math.nan}), "a metric is not finite"),
    "infinite metric": (_metrics({"loss": math.inf}), "a metric is not finite"),
    "metric as text": (_metrics({"loss": "low"}), "Expected `float`"),
    "too many metrics": (_metrics({f"m{i}": 0.0 for i in range(65)}), "length <= 64"),
    "trailing bytes": (SMALL_UPDATE + b"\xc0", "trailing"),
    "another payload": (SMALL_MODEL, "globalmodel"),
    "weights of 4 billion": (
        SMALL_UPDATE.replace(b"\xa7weights\x92", b"\xa7weights\xdd\xff\xff\xff\xff"),
        "valid update",
    ),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE_UPDATES.values(), ids=HOSTILE_UPDATES)
def test_hostile_updates_are_refused_by_name(data: bytes, reason: str) -> None:
    """One literal per error, each with its own reason."""
    with pytest.raises(ProtocolError, match=reason):
        _read_update(data)


@pytest.mark.parametrize("more", [0, 1])
def test_a_chunk_holds_a_mebibyte_at_most(more: int) -> None:
    """Whatever our own URL says: another's may say as much."""
    data = encode(Chunk(id=ID, index=0, data=bytes(limits.MOST_CHUNK_BYTES + more)))
    if not more:
        assert len(decode(data, Chunk, limit=limits.MOST_PACKET_BYTES).data) == 2**20
        return
    with pytest.raises(ProtocolError, match="length <= 1048576"):
        decode(data, Chunk, limit=limits.MOST_PACKET_BYTES)


@pytest.mark.parametrize(
    ("size", "chunk_size", "reason"),
    [
        (2**30, 2**20, None),
        (2**30, 2**18, None),
        (2**30 + 1, 2**20, "<= 1073741824"),
        (2**32, 2**20, "<= 1073741824"),
        (2**30, 2**20 + 1, "<= 1048576"),
    ],
)
def test_a_transfer_is_a_gibibyte_at_most_in_large_chunks_too(
    size: int, chunk_size: int, reason: str | None
) -> None:
    """More chunks than a transfer may have would fit four."""
    outline = Outline(id=ID, size=size, chunk_size=chunk_size, chunks=(ID,) * -(-size // chunk_size))
    offer = encode(Begin(run=BOOT, round=1, outline=outline))
    if reason is None:
        assert decode(offer, Begin).outline == outline
        return
    with pytest.raises(ProtocolError, match=reason):
        decode(offer, Begin)


def test_absurd_lengths_allocate_nothing() -> None:
    """A few bytes that announce gigabytes cost no memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for tag in (b"\xdf", b"\xdb", b"\xc6", b"\xdd"):
        for kind in (EVERY_KIND, Update, GlobalModel):
            with pytest.raises(ProtocolError):
                decode(tag + b"\xff\xff\xff\xff", kind)
        for field in (b"\xa7weights", b"\xa4body"):
            hostile = SMALL_UPDATE.replace(field, field + tag + b"\xff\xff\xff\xff", 1)
            with pytest.raises(ProtocolError):
                decode_payload(hostile, Update)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_every_prefix_of_every_message_is_refused(message) -> None:
    """With ProtocolError and no other exception."""
    data = encode(message)
    for end in range(len(data)):
        with pytest.raises(ProtocolError):
            decode(data[:end], EVERY_KIND)


@pytest.mark.parametrize(("data", "kind"), [(SMALL_UPDATE, Update), (SMALL_MODEL, GlobalModel)])
def test_every_prefix_of_every_payload_is_refused(data: bytes, kind: type) -> None:
    """With ProtocolError and no other exception."""
    for end in range(len(data)):
        with pytest.raises(ProtocolError):
            decode_payload(data[:end], kind)


def test_every_flipped_bit_of_an_update_is_refused_or_finite() -> None:
    """Never another exception, never a value that the fold could not hold."""
    refused = 0
    for bit in range(8 * len(SMALL_UPDATE)):
        data = bytearray(SMALL_UPDATE)
        data[bit // 8] ^= 1 << bit % 8
        try:
            values = _read_update(bytes(data))
        except ProtocolError:
            refused += 1
            continue
        assert all(np.isfinite(array).all() for array in values.values())
        assert all((np.abs(array) <= limits.VALUE_ABS).all() for array in values.values())
    assert 0 < refused < 8 * len(SMALL_UPDATE)


def test_what_a_message_says_cannot_write_on_a_terminal() -> None:
    """Text from the network is escaped and cut in error messages."""
    with pytest.raises(ProtocolError) as caught:
        decode(_pack(HELLO, **{"\x1b[2J\n" + "x" * 9999: 1}), UpControl)
    assert re.fullmatch(r"[ -~]{,300}", str(caught.value))


@pytest.mark.parametrize(
    "topic",
    [
        "fedfin/1/ward/site/s0/dn/ctl",
        "fedfin/1/ward/site/s0/up/ctl\n",
        "fedfin/1/ward/site/S0/up/ctl",
        "fedfin/1/ward/site//up/ctl",
        "fedfin/1/ward/site/a/b/up/ctl",
        "fedfin/1/other/site/s0/up/ctl",
        "fedfin/2/ward/site/s0/up/ctl",
        "x/fedfin/1/ward/site/s0/up/ctl",
    ],
)
def test_topics_of_others_are_not_a_sites(topic: str) -> None:
    """Only an exact up topic of this federation names a site."""
    topics = Topics("ward")
    assert topics.parse_up(topic) is None
    assert topics.parse_up(topics.site("s0", "up/ctl")) == ("s0", "up/ctl")
