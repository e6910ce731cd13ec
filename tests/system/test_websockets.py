"""wss:// through nginx and through a proxy that asks for a password and allows one port: the same guarantees."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_point import AGGREGATOR
from federation import Federation, broker
from test_crash_matrix import HERE, Machines, copied
from test_link import arrived
from web_way import PASSWORD, USER, Way, way_out

from fedfin.demo.processes import free_port
from fedfin.link import link_events, mqtt
from fedfin.link.proxy import Proxy, ProxyChoice
from fedfin.link.tls import Tls
from fedfin.plan_sections import Codec

pytestmark = pytest.mark.broker
CHUNK = 64 * 1024
SECONDS = 20.0


class MachinesBehind(Machines):
    """The broker listens where nginx passes WebSockets on to."""

    port = 0

    @property
    def _port(self) -> int:
        return self.port


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """For all tests here."""
    with way_out(tmp_path_factory.mktemp("way")) as found:
        yield found


@contextlib.contextmanager
def link_through(way: Way, proxy: ProxyChoice) -> Iterator[mqtt.Link]:
    """A link that has begun to connect."""
    link = mqtt.Link(way.url, "probe", will=("probe", bytes), tls=Tls(way.ca), proxy=proxy)
    link.start()
    try:
        yield link
    finally:
        link.stop()


@contextlib.contextmanager
def mosquitto(way: Way, folder: Path) -> Iterator[None]:
    """Where nginx looks for it."""
    with broker("mosquitto", folder, f"listener {way.broker_port} 127.0.0.1\nmax_queued_messages 0"):
        yield


def first_event(way: Way, proxy: ProxyChoice) -> link_events.LinkEvent:
    """What a link says first."""
    with link_through(way, proxy) as link:
        event: link_events.LinkEvent = link.events.get(timeout=SECONDS)
        return event


def through(way: Way, **changes: object) -> Proxy:
    """The proxy, with our login."""
    given = {"url": way.proxy, "user": USER, "password_file": way.password_file} | changes
    return Proxy.parse(**given)  # type: ignore[arg-type]


def test_large_messages_pass_both_ways_and_whole(way: Way, tmp_path: Path) -> None:
    """Far more than the sockets buffer, in messages of up to 256 KiB, which a site with plain MQTT may send."""
    messages = [os.urandom(size) for size in (1, 125, 126, 65_535, 65_536, 200_000, 256 * 1024) * 6]
    with mosquitto(way, tmp_path), link_through(way, through(way)) as link:
        up = link.events.get(timeout=SECONDS)
        assert isinstance(up, link_events.Up), up
        assert up.chunk_size == CHUNK
        assert link._client.keepalive == 30  # below nginx's 60 s
        link.subscribe("echo")
        for message in messages:
            link.publish("echo", message)
        assert arrived(link, len(messages)) == [hashlib.sha256(message).digest() for message in messages]


def test_the_environment_names_the_proxy(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY with user and password; NO_PROXY, or `none`, goes straight, which here would be let in as well."""
    monkeypatch.setenv("https_proxy", way.proxy.replace("//", f"//{USER}:wrong@"))
    monkeypatch.delenv("no_proxy", raising=False)
    with mosquitto(way, tmp_path):
        refused = first_event(way, None)
        assert isinstance(refused, link_events.Down)
        assert "refuses our user name or password" in refused.reason
        assert "wrong" not in refused.reason
        monkeypatch.setenv("https_proxy", way.proxy.replace("//", f"//{USER}:{PASSWORD}@"))
        assert isinstance(first_event(way, None), link_events.Up)
        assert (
            f"CONNECT localhost:{way.url.rpartition(':')[2][:-5]}" in (way.folder / "proxy.log").read_text()
        )
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port()}")
        assert isinstance(first_event(way, None), link_events.Down)
        assert isinstance(first_event(way, "none"), link_events.Up)
        monkeypatch.setenv("no_proxy", "localhost")
        assert isinstance(first_event(way, None), link_events.Up)


def test_what_stops_at_the_proxy_or_behind_it_says_so(way: Way) -> None:
    """No login, a port that is not allowed, no proxy there, a path without WebSockets; no message has the password."""
    port = way.url.rpartition(":")[2].removesuffix("/mqtt")
    cases = [
        (way.url, through(way, user=None, password_file=None), "wants one; give --proxy-user"),
        (way.url.replace(port, "444"), through(way), "most allow port 443 only"),
        (way.url, through(way, url=f"http://127.0.0.1:{port}"), "may be no proxy at all"),
        (way.url, through(way, url=f"http://127.0.0.1:{free_port()}"), "does not answer"),
        (way.url.replace("/mqtt", "/elsewhere"), through(way), "no WebSockets at /elsewhere (HTTP 404)"),
    ]
    for url, proxy, words in cases:
        link = mqtt.Link(url, "probe", will=("probe", bytes), tls=Tls(way.ca), proxy=proxy)
        link.start()
        event = link.events.get(timeout=SECONDS)
        link.stop()
        assert isinstance(event, link_events.Down)
        assert words in event.reason
        assert PASSWORD not in event.reason


@pytest.fixture(scope="module")
def template(way: Way, tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A federation whose sites and aggregator all go out through the proxy."""
    codec = Codec(up="small", down="small")
    return Federation(tmp_path_factory.mktemp("template"), way.url, sites=2, codec=codec, options=way.options)


@pytest.fixture(scope="module")
def straight(template: Federation, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of the same plan and cases over plain MQTT."""
    folder = tmp_path_factory.mktemp("straight")
    codec = Codec(up="small", down="small")
    with broker("mosquitto", folder) as url:
        federation = Federation(folder, url, sites=2, codec=codec)
        federation.run()
    return (folder / "agg" / "final.fedfin").read_bytes()


@pytest.mark.slow
def test_the_model_is_the_same_to_the_byte_also_after_kills(
    template: Federation, straight: bytes, way: Way, tmp_path: Path
) -> None:
    """A site is killed half sent, the aggregator with a round closed; and no log has the proxy's password."""
    points = {"s1": "half sent", "agg": "closed, not published"}
    assert points["agg"] in AGGREGATOR
    with copied(template, tmp_path, MachinesBehind) as machines:
        machines.port = way.broker_port
        for name, point in points.items():
            mark = str(tmp_path / f"{name}.mark")
            machines.broken[name] = [str(HERE / "crash_point.py"), point, "process", mark]
        machines.run()
    assert set(machines.killed) == set(points)
    for owner in ("agg", "s0/state", "s1/state"):
        assert (tmp_path / owner / "final.fedfin").read_bytes() == straight, owner
    assert not [log for log in tmp_path.glob("*.log") if PASSWORD in log.read_text()]
