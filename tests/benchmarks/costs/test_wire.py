"""The tap counts what a site's line carries, layer by layer."""

import ssl
import threading
from functools import reduce
from itertools import pairwise

import paho.mqtt.client as paho
import pytest
from federation import need_mosquitto
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.costs.wire.federation import Case, demo_settings, make_plan, run
from benchmarks.costs.wire.layers import Both, Layers
from benchmarks.costs.wire.mqtt_stream import MqttStream
from benchmarks.costs.wire.tap import HEADERS, Taps
from benchmarks.transport.broker import mosquitto
from benchmarks.transport.stand_ins import issue_certificates

SIZE = 100_000
PING = b"\xc0\x00"


def publish(payload: bytes, *, quality: int, properties: bytes = b"") -> bytes:
    number = b"\x00\x07" if quality else b""
    body = b"\x00\x03a/b" + number + bytes([len(properties)]) + properties + payload
    length = len(body)
    head = bytearray([0x30 | quality << 1])
    while length > 127:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + body


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.sampled_from([0, 1, 2]), st.binary(max_size=5))),
    st.lists(st.integers(0, 5000), max_size=6),
)
def test_payload_is_counted_however_the_stream_is_cut(messages, cuts):
    packets = [publish(payload, quality=q, properties=more) for payload, q, more in messages]
    stream = PING.join([b"", *packets, b""])
    counted = MqttStream()
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in pairwise(places):
        counted.feed(stream[start:end])
    assert counted.payload == sum(len(payload) for payload, *_ in messages)
    assert counted.bytes == len(stream)


@pytest.mark.broker
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_a_published_message_is_in_every_layer(tmp_path, secured):
    need_mosquitto()
    tls = issue_certificates(tmp_path / "pki", "127.0.0.1")[1] if secured else {}
    pki = tmp_path / "pki"
    server = {
        "ca": pki / "ca.pem",
        "server_certificate": pki / "broker.pem",
        "server_key": pki / "broker.key",
    }
    with (
        mosquitto(tmp_path) as broker,
        Taps(["s"], int(broker.url.rpartition(":")[2]), server if secured else {}) as taps,
    ):
        client, taken = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5), threading.Event()
        if tls:
            context = ssl.create_default_context(cafile=tls["ca"])
            context.load_cert_chain(tls["certificate"], tls["key"])
            client.tls_set_context(context)
        client.on_publish = lambda *_: taken.set()
        client.connect("127.0.0.1", taps.of["s"].port)
        client.loop_start()
        taps.name("s", "update")
        client.publish("a/topic", b"\x00" * SIZE, qos=1)
        assert taken.wait(10)
        client.disconnect()
        client.loop_stop()
        spent = taps.spent()["s"]
    up = reduce(Both.plus, spent.values()).up  # the label may change before there is a connection
    assert up.payload == SIZE
    assert 20 < up.mqtt < 100
    assert (up.tls > SIZE // 16_384 * 22) if secured else up.tls == 0  # a record has 22 bytes of its own
    assert SIZE / 1460 * HEADERS < up.tcp < 3 * SIZE / 1460 * HEADERS
    assert up.tcp == up.segments * HEADERS


def test_layers_add_up():
    both = Both(Layers(1, 2, 3, 4, 5), Layers(10))
    assert both.plus(both).times(0.5) == Both(Layers(1.0, 2.0, 3.0, 4.0, 5.0), Layers(10.0))
    assert both.up.total == 1 + 2 + 3 + 4


def test_the_plan_on_the_wire_is_the_demos(tmp_path):
    plan = make_plan(Case("secure", demo_settings().dims), tmp_path)
    assert plan.privacy.level == "secure"
    assert plan.dims == {"image": 64, "text": 64}
    assert plan.rounds.sites == demo_settings().sites == 10


@pytest.mark.parametrize("level", ["open", "secure"])
def test_a_plan_on_the_wire_trains_one_round_for_each_preset(tmp_path, level):
    """Else the bytes of one task of the table are those of several rounds of it."""
    for presets in ((), ("exact", "exact", "exact")):
        plan = make_plan(Case(level, 4, presets), tmp_path / str(len(presets)))
        assert plan.rounds.count == max(1, len(presets))


@pytest.mark.broker
def test_every_task_of_a_federation_under_secure_sums_is_counted(tmp_path):
    need_mosquitto()
    traffic = run(Case("secure", 4, sites=3), tmp_path)
    tasks = ["joining", "moments", "second_moments", "train", "calibrate", "evaluate"]
    assert [label.removesuffix(" exact") for label in traffic.labels] == tasks
    for label in traffic.labels:
        both = traffic.mean(label)
        assert min(both.up.payload, both.up.mqtt, both.up.tls, both.up.tcp, both.down.tcp) > 0
