"""The facts of MQTT that the link must respect, each against a real mosquitto."""

import contextlib
import hashlib
import os
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import broker

from benchmarks.transport.certificates import Authority
from fedfin import limits
from fedfin.demo.processes import free_port, wait_for_port
from fedfin.errors import LinkError
from fedfin.link import link_events, mqtt
from fedfin.link.backoff import Backoff
from fedfin.link.tls import Tls

pytestmark = pytest.mark.broker
SECONDS = 20.0


@contextlib.contextmanager
def up(
    url: str, client_id: str = "probe", tls: Tls | None = None
) -> Iterator[tuple[mqtt.Link, link_events.Up]]:
    """A link that is up, and what it said when it came up."""
    link = mqtt.Link(url, client_id, will=("probe", bytes), tls=tls)
    link.start()
    try:
        event = link.events.get(timeout=SECONDS)
        assert isinstance(event, link_events.Up), event
        yield link, event
    finally:
        link.stop()


def option(link: mqtt.Link, name: int) -> int:
    """A TCP option of the link's socket."""
    return link._client.socket().getsockopt(socket.IPPROTO_TCP, name)


def test_small_publishes_do_not_wait_for_nagle(tmp_path: Path) -> None:
    """In the clear and, where it costs 45 ms, over TLS; and a path that is gone is noticed within 30 s."""
    authority = Authority(tmp_path / "pki")
    pair = authority.issue("broker", hosts=("IP:127.0.0.1",))
    files = f"cafile {authority.ca}\ncertfile {pair.certificate}\nkeyfile {pair.key}\nuser root"
    for settings, scheme, tls in (("", "mqtt", None), (files, "mqtts", Tls(authority.ca))):
        with (
            broker("mosquitto", tmp_path, settings) as url,
            up(url.replace("mqtt", scheme), tls=tls) as (link, _),
        ):
            assert option(link, socket.TCP_NODELAY) == 1
            assert option(link, socket.TCP_USER_TIMEOUT) == 30_000


def test_small_packets_from_the_broker_do_not_wait_for_nagle(tmp_path: Path) -> None:
    """By default mosquitto holds an answer back until its acknowledgement is acknowledged, in Linux after 40 ms."""
    with (
        broker("mosquitto", tmp_path) as url,
        up(url, "asks") as (asks, _),
        up(url, "answers") as (answers, _),
    ):
        asks.subscribe("answer")
        answers.subscribe("question")
        time.sleep(0.2)
        assert sorted(answer_time(asks, answers) for _ in range(20))[10] < 0.02


def test_many_subscriptions_bring_what_is_retained_under_each(tmp_path: Path) -> None:
    """A few packets there and back, not one for each; and none comes any more once they are given up."""
    topics = [f"part/{number}" for number in range(20)]
    with broker("mosquitto", tmp_path) as url, up(url, "gives") as (gives, _), up(url, "takes") as (takes, _):
        for topic in topics:
            gives.publish(topic, topic.encode(), retain=True)
        for _ in topics:
            assert gives.events.get(timeout=SECONDS).refused is None
        takes.subscribe(*topics)
        come = [takes.events.get(timeout=SECONDS) for _ in topics]
        assert sorted(event.topic for event in come) == sorted(topics)
        takes.unsubscribe(*topics)
        takes.subscribe("last")
        takes.publish("done", b"")
        assert takes.events.get(timeout=SECONDS).refused is None  # the broker has heard all that came before
        for topic in (*topics, "last"):
            gives.publish(topic, b"anew")
        assert takes.events.get(timeout=SECONDS).topic == "last"


def answer_time(asks: mqtt.Link, answers: mqtt.Link) -> float:
    """Seconds from a question to its answer."""
    started = time.monotonic()
    asks.publish("question", b"?")
    event = answers.events.get(timeout=SECONDS)
    while not isinstance(event, link_events.Arrived):
        event = answers.events.get(timeout=SECONDS)
    answers.publish("answer", b"!")
    while not isinstance(asks.events.get(timeout=SECONDS), link_events.Arrived):
        pass
    return time.monotonic() - started


def test_keepalive_and_window(tmp_path: Path) -> None:
    """As the protocol's limits say."""
    with broker("mosquitto", tmp_path) as url, up(url) as (link, _):
        assert link._client.keepalive == limits.KEEPALIVE_S == 60
        assert link._client.max_inflight_messages == limits.WINDOW == 8


@pytest.mark.parametrize(("packet", "chunk"), [(0, 256 * 1024), (65_536, 61_440), (8192, 4096), (2048, 1024)])
def test_chunks_fit_the_packets_that_the_broker_announces(tmp_path: Path, packet: int, chunk: int) -> None:
    """256 KiB, or what the broker takes less 4 KiB for the envelope."""
    settings = f"max_packet_size {packet}" if packet else ""
    with broker("mosquitto", tmp_path, settings) as url, up(url) as (_, event):
        assert event.chunk_size == chunk


@pytest.mark.parametrize(
    ("kib", "packet", "chunk"),
    [(1024, 0, 1024 * 1024), (1024, 266_240, 256 * 1024), (64, 0, 64 * 1024), (64, 8192, 4096)],
)
def test_chunks_are_as_large_as_the_url_says_within_what_the_broker_announces(
    tmp_path: Path, kib: int, packet: int, chunk: int
) -> None:
    """And one as large passes."""
    settings = f"max_packet_size {packet}" if packet else ""
    with broker("mosquitto", tmp_path, settings) as url, up(f"{url}?packet={kib}") as (link, event):
        assert event.chunk_size == chunk
        token = link.publish("probe", bytes(chunk + limits.PACKET_OVERHEAD_BYTES // 2))
        assert link.events.get(timeout=SECONDS) == link_events.Taken(token, None)


def test_large_messages_that_wait_for_the_owner_take_no_more_memory_than_usual_ones(tmp_path: Path) -> None:
    """Whoever sends them; the broker keeps the others, and all come when the owner takes them."""
    with (
        broker("mosquitto", tmp_path, "max_queued_messages 0\nmax_inflight_messages 0") as url,
        up(url, "takes") as (takes, _),
        up(f"{url}?packet=1024", "gives") as (gives, _),
    ):
        takes.subscribe("large")
        takes.publish("done", b"")
        assert takes.events.get(timeout=SECONDS).refused is None
        for number in range(40):
            gives.publish("large", bytes([number]) * limits.MOST_CHUNK_BYTES)
        for _ in range(40):
            assert gives.events.get(timeout=SECONDS).refused is None
        time.sleep(0.5)
        waiting = takes.events.qsize()
        assert 1 < waiting * limits.MOST_CHUNK_BYTES <= mqtt.BACKLOG_BYTES
        came = [takes.events.get(timeout=SECONDS) for _ in range(40)]
        assert [event.payload[0] for event in came] == list(range(40))


def test_an_oversize_message_is_refused_here_and_the_link_stays(tmp_path: Path) -> None:
    """Sent, it would end the connection, and paho would send it again after each reconnect."""
    with broker("mosquitto", tmp_path, "max_packet_size 8192") as url, up(url) as (link, _):
        with pytest.raises(LinkError, match="exceeds the broker's maximum packet of 8192"):
            link.publish("probe", b"x" * 8192)
        token = link.publish("probe", b"x" * 8000)
        assert link.events.get(timeout=SECONDS) == link_events.Taken(token, None)


def test_a_denied_publish_is_told(tmp_path: Path) -> None:
    """It shows only in the acknowledgement's reason, and only at QoS 1."""
    (tmp_path / "acl").write_text("topic read #\n")
    with (
        broker("mosquitto", tmp_path, f"user root\nacl_file {tmp_path / 'acl'}") as url,
        up(url) as (link, _),
    ):
        token = link.publish("probe", b"x")
        assert link.events.get(timeout=SECONDS) == link_events.Taken(token, "Not authorized")


def test_a_dead_thread_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the link's thread, its owner hears of it."""

    def fail(*_: object) -> None:
        raise SystemExit("unforeseen")

    monkeypatch.setattr(mqtt.Link, "_on_publish", fail)
    with broker("mosquitto", tmp_path) as url, up(url) as (link, _):
        link.publish("probe", b"x")
        assert link.events.get(timeout=SECONDS) == link_events.Broken("SystemExit: unforeseen")


def test_waits_double_with_jitter_and_begin_anew_after_a_good_connection() -> None:
    """1, 2, 4, ... 30 s, each times 0.5 to 1.5; a connection that fell at once is not a good one."""
    middle = Backoff(lambda low, high: (low + high) / 2)
    assert [middle.after(0.0) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert [middle.after(1.0), middle.after(6.0), middle.after(0.1)] == [30, 1, 2]
    drawn = {Backoff().after(0.0) for _ in range(50)}
    assert len(drawn) == 50
    assert 0.5 <= min(drawn) < 0.8
    assert 1.2 < max(drawn) <= 1.5


def test_an_unreachable_broker_is_tried_again(tmp_path: Path) -> None:
    """Each attempt is told; when the broker comes, the link is up."""
    link = mqtt.Link(f"mqtt://127.0.0.1:{free_port()}", "probe", will=("probe", bytes))
    link.start()
    said = [link.events.get(timeout=SECONDS) for _ in range(2)]
    link.stop()
    assert all("Connection refused" in event.reason for event in said)


def test_two_threads_never_mix_their_packets(tmp_path: Path) -> None:
    """Large messages go out from this thread while as many come in: each arrives whole, and the link stays up."""
    messages = [os.urandom(200_000) for _ in range(200)]
    with broker("mosquitto", tmp_path, "max_queued_messages 0") as url, up(url) as (link, _):
        link.subscribe("echo")
        for message in messages:
            link.publish("echo", message)
        assert arrived(link, len(messages)) == [hashlib.sha256(message).digest() for message in messages]


def arrived(link: mqtt.Link, count: int) -> list[bytes]:
    """SHA-256 of the next `count` messages; the link must not fall meanwhile."""
    found: list[bytes] = []
    until = time.monotonic() + SECONDS
    while len(found) < count and time.monotonic() < until:
        with contextlib.suppress(queue.Empty):
            event = link.events.get(timeout=1.0)
            assert not isinstance(event, link_events.Down | link_events.Broken), event
            if isinstance(event, link_events.Arrived):
                found.append(hashlib.sha256(event.payload).digest())
    return found


def test_a_new_connection_sends_nothing_again_by_itself(tmp_path: Path) -> None:
    """The broker dies with messages under way; only what the owner publishes anew reaches the next one."""
    with broker("mosquitto", tmp_path) as url:
        link = mqtt.Link(url, "probe", will=("probe", bytes))
        link.start()
        assert isinstance(link.events.get(timeout=SECONDS), link_events.Up)
        port = int(url.rpartition(":")[2])
    for _ in range(4):
        link._client.publish("lost", b"x" * 1000, qos=1)  # past publish(), which would drop it while down
    assert isinstance(link.events.get(timeout=SECONDS), link_events.Down)
    with again(tmp_path, port), up(url, "watcher") as (watcher, _):
        watcher.subscribe("#")
        assert came_up(link)
        link.publish("fresh", b"y")
        link.publish("end", b"z")
        topics = []
        while "end" not in topics:
            event = watcher.events.get(timeout=SECONDS)
            topics += [event.topic] if isinstance(event, link_events.Arrived) else []
        link.stop()
    assert topics == ["fresh", "end"]


@contextlib.contextmanager
def again(folder: Path, port: int) -> Iterator[None]:
    """Another broker on the same port."""
    config = folder / "again.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen(
        ["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port("127.0.0.1", port, SECONDS)
        yield
    finally:
        process.terminate()
        process.wait(10)


def came_up(link: mqtt.Link) -> bool:
    """Wait through failures until the link is up."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if isinstance(link.events.get(timeout=SECONDS), link_events.Up):
            return True
    return False


@contextlib.contextmanager
def without_mqtt_5(port: int) -> Iterator[str]:
    """In front of a broker, as RabbitMQ 3.10: a client that speaks MQTT 5 is dropped without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        target.close()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                first = client.recv(65_536)
                if first[first.index(b"MQTT") + 4] == 5:
                    client.close()
                    continue
                behind = socket.create_connection(("127.0.0.1", port))
                behind.sendall(first)
                for pair in ((client, behind), (behind, client)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield f"mqtt://127.0.0.1:{listener.getsockname()[1]}"


def test_a_broker_that_drops_mqtt_5_without_a_word_is_tried_with_the_older_one(tmp_path: Path) -> None:
    """At once, and nothing is said of it but the version that is spoken."""
    with broker("mosquitto", tmp_path) as url, without_mqtt_5(int(url.rpartition(":")[2])) as front:
        started = time.monotonic()
        with up(front) as (_, event):
            assert event.announced.protocol == "3.1.1"
        assert time.monotonic() - started < 5


@contextlib.contextmanager
def mute(port: int) -> Iterator[None]:
    """Takes connections, and ends them without a word, as a broker does that takes nothing any more."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield


def test_a_broker_that_has_let_us_in_and_says_nothing_any_more_may_be_full(tmp_path: Path) -> None:
    """The port is right, then; where it never let us in, that is asked first."""
    with contextlib.ExitStack() as stack:
        with broker("mosquitto", tmp_path) as url:
            link, _ = stack.enter_context(up(url))
        stack.enter_context(mute(int(url.rpartition(":")[2])))
        assert "has let us in earlier: the broker may be out of memory or disk" in unanswered(link)
        other = mqtt.Link(url, "other", will=("probe", bytes))
        other.start()
        stack.callback(other.stop)
        assert "is mqtts:// or mqtt:// right for this port? If so, the broker may be out of" in unanswered(
            other
        )


def unanswered(link: mqtt.Link) -> str:
    """The first such reason for which a connection ended."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        event = link.events.get(timeout=SECONDS)
        if isinstance(event, link_events.Down) and "before it answered" in event.reason:
            return event.reason
    pytest.fail("there was none")


def test_no_more_messages_are_under_way_than_the_broker_announces(tmp_path: Path) -> None:
    """Which paho does not look at."""
    with broker("mosquitto", tmp_path, "max_inflight_messages 3") as url, up(url) as (link, event):
        assert event.announced.receive_maximum == 3
        assert link._client.max_inflight_messages == 3


def test_a_limit_that_no_broker_told_makes_messages_smaller(tmp_path: Path) -> None:
    """In MQTT 3.1.1 there is no word for it: the connection ends; the reason says what is tried."""
    with (
        broker("mosquitto", tmp_path, "max_packet_size 70000") as url,
        up(f"{url}?protocol=3.1.1") as (link, event),
    ):
        assert event.chunk_size == limits.CHUNK_BYTES
        link.publish("probe", b"x" * 200_000)
        down = link.events.get(timeout=SECONDS)
        assert isinstance(down, link_events.Down)
        assert "a message of 200005 bytes" in down.reason
        again_up = link.events.get(timeout=SECONDS)
        assert isinstance(again_up, link_events.Up)
        assert again_up.chunk_size == 65_536


def test_a_client_id_that_was_taken_over_is_named(tmp_path: Path) -> None:
    """Two machines with one identity; mosquitto 2.0.11 gives no reason, so it is said as what may be."""
    with broker("mosquitto", tmp_path) as url, up(url, "twin") as (link, _), up(url, "twin"):
        down = link.events.get(timeout=SECONDS)
        assert isinstance(down, link_events.Down)
        assert "another client may have connected as twin" in down.reason


@pytest.mark.parametrize("setting", ["retain_available true", "max_qos 1"])
@pytest.mark.parametrize("lets_in", [False, True])
def test_a_broker_without_what_we_need_is_given_up_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, *, lets_in: bool
) -> None:
    """Whether it refuses us for our last will, or lets us in and only announces it: no other try does better."""
    if lets_in:  # mosquitto does so whoever has no last will
        monkeypatch.setattr(mqtt.Client, "will_set", lambda *_, **__: None)
    without = setting.replace("true", "false").replace("1", "0")
    with broker("mosquitto", tmp_path, without) as url:
        link = mqtt.Link(url, "probe", will=("probe", bytes))
        link.start()
        down = link.events.get(timeout=SECONDS)
        link.stop()
    assert isinstance(down, link_events.Down), down
    assert down.final
    assert f"the broker at {url.removeprefix('mqtt://')} " in down.reason
    assert f"(mosquitto: `{setting}`)" in down.reason
