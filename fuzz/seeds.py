"""What fuzzing starts from: real inputs of each kind, made here, so that nothing is kept that anybody sent."""

import functools
import io
import sqlite3
import struct

import msgspec
import numpy as np
from PIL import Image

from fedfin.codec import compress
from fedfin.codec.presets import PRESETS
from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import ModelFile, encode_model_file
from fedfin.model.plan_file import plan_toml
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol import transfer
from fedfin.protocol.messages.joining import Decline, Evict, Hello, Welcome
from fedfin.protocol.messages.message import encode
from fedfin.protocol.messages.presence import Twin
from fedfin.protocol.messages.transfers import Begin, Missing, Receipt
from fedfin.protocol.payloads import encode_model
from fedfin.protocol.versions import OURS
from fedfin.trust.audit_log import AuditLog
from fedfin.trust.identity import certificate_request, load_identity
from fedfin.trust.request import Request, sign_request
from fedfin_aggregator.store.journal import SCHEMA
from fuzz.fuzz_codec import SHAPES
from fuzz.trust_parties import PLACE, TOPICS, coordinator, ends

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=2),),
    model=Model(fin="zero", answer="head", head_width=0),
)
OUTLINE = transfer.outline(b"x" * 3000, 1024)
_RTF = b"\x01\\b bold\\b0\\par {\\*\\x {\\u8226?}}\\'e9\\uc1 }"


def seeds(target: str) -> list[bytes]:
    """Those of one target; a single zero byte where there are none."""
    make = globals().get(f"_{target}")
    return make() if make else [b"\0"]


def _messages() -> list[bytes]:
    run = "0" * 16
    some = (
        Hello(boot=run, encoders={"image": "a" * 64}, party=OURS),
        Welcome(run=run, plan=PLAN),
        Begin(run=run, round=1, outline=OUTLINE),
        Missing(id=OUTLINE.id, bitmap=b"\7"),
        Receipt(id=OUTLINE.id, accepted=True),
        Evict(reason="why"),
        Decline(run=run, cause="budget"),
        Twin(boot=run, here=1.0, there=2.0),
        transfer.chunk(b"x" * 3000, OUTLINE, 0),
    )
    hostile = bytes.fromhex("83a46b696e64a568656c6c6fa17601a45b2f785d01")
    return [*map(encode, some), hostile]


def _payloads() -> list[bytes]:
    return [encode_model(initial_model(PLAN), plan=PLAN.digest(), version=1)]


def _codec() -> list[bytes]:
    random = np.random.default_rng(0)
    found = []
    for at, shapes in enumerate(SHAPES):
        values = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        found += [bytes([at]) + compress(values, shapes, preset).body for preset in PRESETS]
    return found


def _transfer() -> list[bytes]:
    return [bytes([0, 0, 50, 0, 1, 51, 50, 0])]


def _case_table() -> list[bytes]:
    return [
        b"\0case,text,label\na,clear,1\n",
        b'\2{"case": "a", "image": [1.0], "x": 1}\n',
        b"\4PK\3\4",
        b"\5PAR1",
    ]


def _text() -> list[bytes]:
    return [_RTF, b"\2a<br>b</p>&eacute;<script>x</script>", b"\3\\F\\\\X0D\\", b"\4-->", b"\0plain"]


def _image() -> list[bytes]:
    found = []
    for kind, mode in (("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "L"), ("JPEG", "CMYK")):
        stream = io.BytesIO()
        Image.new(mode, (9, 7)).save(stream, kind)
        found.append(stream.getvalue())
    return found


def _dicom() -> list[bytes]:
    elements = [
        (0x0028, 0x0002, b"US", struct.pack("<H", 1)),
        (0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
        *((0x0028, at, b"US", struct.pack("<H", value)) for at, value in _SHAPE.items()),
        (0x0028, 0x1050, b"DS", b"8 "),
        (0x0028, 0x1051, b"DS", b"9 "),
    ]
    body = b"".join(struct.pack("<HH2sH", g, e, vr, len(v)) + v for g, e, vr, v in elements)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 16) + bytes(range(16))
    syntax = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(syntax))
    return [bytes(128) + b"DICM" + length + syntax + body + pixels]


_SHAPE = {0x0010: 4, 0x0011: 4, 0x0100: 8, 0x0101: 8, 0x0102: 7, 0x0103: 0}


def _bundle() -> list[bytes]:
    manifest = {
        "format": 1, "name": "m", "modality": "image", "dim": 2, "onnx": "encoder.onnx",
        "recipe": {"kind": "vector", "length": 2}, "files": {"encoder.onnx": "a" * 64},
        "quantization": "", "source": "", "licence": "", "versions": {},
    }  # fmt: skip
    graph = bytes.fromhex("3a0a2a086a0612046c6f6331")
    return [msgspec.json.encode(manifest), graph, b'{"format":1,"name":"\xff"}']


def _model_file() -> list[bytes]:
    whole = encode_model_file(ModelFile(PLAN, 1, initial_model(PLAN)))
    return [whole, bytes.fromhex("81a46b696e64a1ff")]


def _settings() -> list[bytes]:
    return [plan_toml(PLAN).encode(), b'site = "s"\n[cases]\ntable = "t"\n[modalities.image]\nbundle = "b"\n']


def _store() -> list[bytes]:
    database = sqlite3.connect(":memory:")
    database.executescript(SCHEMA)
    database.execute("INSERT INTO plan VALUES (?, 'r')", (msgspec.json.encode(PLAN),))
    return [database.serialize(), b"SQLite format 3\0", b"{}"] if hasattr(database, "serialize") else [b"{}"]


@functools.cache
def _envelopes() -> list[bytes]:
    site, aggregator = ends()
    topic, seal = TOPICS.site("s0", "up/ctl"), site.new_seal(1)
    hello = encode(Hello(boot="0" * 16, encoders={"image": "a" * 64}))
    return [
        site.send(topic, hello),
        site.send(topic, hello, private=False),
        aggregator.send(TOPICS.manifest, hello),
        site.seal_update(hello, 1, seal),
        aggregator.seal_part("delta", 1, hello),
        aggregator.charter_text,
    ]


def _documents() -> list[bytes]:
    made, folder = coordinator(), PLACE / "study"
    log = AuditLog(PLACE / "audit.jsonl")
    log.add("start", {"charter": made.charter.number})
    identity = load_identity(PLACE / "s0")
    seat = made.charter.seats["s0"]
    pem = certificate_request(PLACE / "s0", "s0")
    request = Request(role="site", name="s0", federation="ward", keys=seat.keys, certificate_request=pem)
    return [
        (folder / "charter").read_bytes(),
        made.admission_path("s0").read_bytes(),
        sign_request(request, identity).encode(),
        (PLACE / "audit.jsonl").read_bytes(),
        pem.encode(),
    ]


def _intake() -> list[bytes]:
    oru = b"MSH|^~\\&|R|H|F|S|20260102110000||ORU^R01|1|P|2.5\rPID|1||P\rOBR|1||A|||||||||||||||||||20260102|||F\r"
    report = b'{"resourceType":"DiagnosticReport","status":"final","identifier":[{"value":"1","type":{"coding":[]}}]}'
    return [*_dicom(), oru + b"OBX|1|TX|||effusion||||||F\rZDS|1.2\r", report]
