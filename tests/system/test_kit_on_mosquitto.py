"""What `fedfin broker kit` writes, on a real mosquitto: who gets in, and what each may do there."""

import contextlib
import os
import pwd
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from federation import Federation, fedfin, set_up, start
from kit_broker import FEDERATION, SITES, SYSTEM, KitBroker, Peer, ask, kit_broker, program, refused

from benchmarks.transport.certificates import Authority
from fedfin.broker.kit import page, sizing
from fedfin.broker.kit.settings import KitSettings
from fedfin.demo.processes import wait_for_port
from fedfin.link import link_events
from fedfin.link.tls import Tls
from fedfin.protocol.topics import Topics
from fedfin.settings import read_toml

pytestmark = pytest.mark.broker
TOPICS = Topics(FEDERATION)
CHANNELS = ("up/state", "up/ctl", "up/chunk", "dn/ctl", "dn/chunk")
ALL = {
    *(TOPICS.site(site, channel) for site in SITES for channel in CHANNELS),
    TOPICS.aggregator_state,
    TOPICS.manifest,
    TOPICS.chunk("snapshot", 0, 0),
    *(TOPICS.check(name) for name in ("aggregator", *SITES)),
    f"{TOPICS.root}/else",
    "fedfin/1/other/global/manifest",
    "else",
}
OF_A_SITE = {*(TOPICS.site("s0", channel) for channel in CHANNELS[:3]), TOPICS.check("s0")}
OF_THE_AGGREGATOR = {
    *(TOPICS.site(site, channel) for site in SITES for channel in CHANNELS[3:]),
    TOPICS.aggregator_state,
    TOPICS.manifest,
    TOPICS.chunk("snapshot", 0, 0),
    TOPICS.check("aggregator"),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KitBroker]:
    """One that runs while this file's tests do."""
    made = kit_broker(tmp_path_factory.mktemp("broker"))
    with made.running():
        yield made


@pytest.mark.parametrize("topic", sorted(ALL))
def test_a_site_writes_its_own_three_topics_and_no_other(broker: KitBroker, topic: str) -> None:
    """Neither another's, nor what is the aggregator's, nor anything outside the federation."""
    with Peer(broker.url, broker.tls("s0")) as peer:
        answer = peer.write(topic)
    assert (answer is None) == (topic in OF_A_SITE), answer
    assert answer is None or "ot authorized" in answer


@pytest.mark.parametrize("topic", sorted(ALL))
def test_the_aggregator_writes_to_sites_and_to_all_but_never_as_a_site(broker: KitBroker, topic: str) -> None:
    """The reverse."""
    with Peer(broker.url, broker.tls("aggregator")) as peer:
        answer = peer.write(topic)
    assert (answer is None) == (topic in OF_THE_AGGREGATOR), answer


def test_a_site_reads_its_own_and_what_is_for_all(broker: KitBroker) -> None:
    """Subscribed to everything there is, it hears nothing that is for, or from, another."""
    with (
        Peer(broker.url, broker.tls("s0")) as s0,
        Peer(broker.url, broker.tls("s1")) as s1,
        Peer(broker.url, broker.tls("aggregator")) as aggregator,
    ):
        s0.follow("#", TOPICS.site("s1", "dn/ctl"), TOPICS.site("s1", "up/ctl"))
        s1.follow(TOPICS.site("s1", "dn/ctl"))
        aggregator.follow(TOPICS.site("+", "up/ctl"))
        for name in ("s0", "s1"):
            assert aggregator.write(TOPICS.site(name, "dn/ctl")) is None
        assert aggregator.write(TOPICS.manifest) is None
        assert s1.write(TOPICS.site("s1", "up/ctl")) is None
        assert s1.heard() == [TOPICS.site("s1", "dn/ctl")]
        assert aggregator.heard() == [TOPICS.site("s1", "up/ctl")]
        assert set(s0.heard()) == {TOPICS.site("s0", "dn/ctl"), TOPICS.manifest}


def test_without_a_certificate_nobody_gets_in(broker: KitBroker) -> None:
    """The broker says what it wants."""
    ca = broker.tls("s0").ca
    assert "client certificate" in refused(broker.url, Tls(ca))


def test_a_certificate_of_another_ca_is_refused(broker: KitBroker, tmp_path: Path) -> None:
    """Whatever name it holds."""
    pair = Authority(tmp_path / "other").issue("s0")
    assert "client certificate" in refused(broker.url, Tls(broker.tls("s0").ca, pair.certificate, pair.key))


def test_the_brokers_own_certificate_is_no_clients(broker: KitBroker) -> None:
    """It is for a server: whoever steals it from the broker's machine cannot be a client with it."""
    kit = broker.folder / "kit" / "broker"
    said = refused(broker.url, Tls(kit / "ca.pem", kit / "broker.pem", kit / "broker.key"))
    assert "client certificate" in said


def test_a_site_with_anothers_client_id_ends_nobodys_connection(broker: KitBroker) -> None:
    """Its client id is its certificate's name, so it replaces itself alone."""
    with (
        Peer(broker.url, broker.tls("s1"), "s1") as s1,
        Peer(broker.url, broker.tls("s0"), "s1") as liar,
    ):
        assert isinstance(liar.first, link_events.Up)
        assert "ot authorized" in str(liar.write(TOPICS.site("s1", "up/ctl")))
        assert s1.write(TOPICS.site("s1", "up/ctl")) is None  # still there
        with Peer(broker.url, broker.tls("s0"), "another"):
            assert isinstance(liar.next(), link_events.Down)


def test_a_packet_of_260_kib_passes_and_a_larger_one_does_not(broker: KitBroker) -> None:
    """The broker says the limit when a client connects."""
    with Peer(broker.url, broker.tls("s0")) as peer:
        assert isinstance(peer.first, link_events.Up)
        assert peer.first.chunk_size == 256 * 1024
        assert peer.first.announced.maximum_packet == 260 * 1024
        topic = TOPICS.site("s0", "up/chunk")
        assert peer.write(topic, bytes(260 * 1024 - len(topic) - 16)) is None


def test_a_revoked_site_is_silenced_at_once_and_does_not_come_back(tmp_path: Path) -> None:
    """One signal to the broker does it; the others are not touched, and a new certificate lets it in again."""
    broker = kit_broker(tmp_path)
    with broker.running() as process, Peer(broker.url, broker.tls("s1")) as s1:
        tls, copy = broker.tls("s0"), tmp_path / "old.pem"
        copy.write_bytes(tls.certificate.read_bytes())
        old = Tls(tls.ca, copy, tls.key)
        with Peer(broker.url, old) as s0:
            s0.follow(TOPICS.manifest)
            assert s0.write(TOPICS.site("s0", "up/ctl")) is None
            broker.kit("--revoke", "s0")
            process.send_signal(signal.SIGHUP)
            started = time.monotonic()
            while (answer := s0.write(TOPICS.site("s0", "up/ctl"))) is None:
                assert time.monotonic() - started < 5.0
            assert "ot authorized" in answer
        assert "client certificate" in refused(broker.url, old)
        assert s1.write(TOPICS.site("s1", "up/ctl")) is None
        broker.kit("--sites", tmp_path / "sites.txt")  # its request still lies there
        assert not tls.certificate.exists()
        ask(tmp_path, "s0")
        broker.kit("--renew", "s0")
        process.send_signal(signal.SIGHUP)
        with Peer(broker.url, broker.tls("s0")) as again:
            assert again.write(TOPICS.site("s0", "up/ctl")) is None


def test_a_site_and_an_aggregator_that_were_revoked_end_at_once_and_say_so(tmp_path: Path) -> None:
    """Not after two minutes of trying, or never."""
    kit = kit_broker(tmp_path)
    federation_of(kit)
    for name in ("s0", "aggregator"):
        copy = tmp_path / f"old-{name}.pem"  # the kit removes its own
        copy.write_bytes(kit.tls(name).certificate.read_bytes())
        kit.kit("--revoke", name)
    settings = tmp_path / "s0" / "site.toml"
    settings.write_text(
        settings.read_text().replace(str(kit.tls("s0").certificate), str(tmp_path / "old-s0.pem"))
    )
    tls = ("--ca", kit.tls("s0").ca, "--certificate", tmp_path / "old-aggregator.pem")
    serve = (
        "aggregator",
        "serve",
        tmp_path / "agg",
        "--broker",
        kit.url,
        *tls,
        "--key",
        kit.tls("aggregator").key,
    )
    with kit.running():
        for words in (("edge", "run", tmp_path / "s0"), serve):
            done = fedfin(*words, "--no-keys", "--json", check=False)
            assert done.returncode == 7, done.stderr
            assert "our client certificate was revoked; ask for a new one" in done.stderr


def options_of(broker: KitBroker, name: str) -> tuple[object, ...]:
    """On a command line."""
    tls = broker.tls(name)
    return ("--ca", tls.ca, "--certificate", tls.certificate, "--key", tls.key)


def federation_of(broker: KitBroker) -> Federation:
    """Three sites with cases and a plan; each is let in by its own certificate."""
    federation = Federation(broker.folder, broker.url, options=("--ca", broker.tls("aggregator").ca))
    for name in federation.names:
        own = broker.tls(name)
        settings = federation.folder / name / "site.toml"
        lines = f'[tls]\ncertificate = "{own.certificate}"\nkey = "{own.key}"'
        settings.write_text(settings.read_text().replace("[tls]", lines))
    return federation


def test_a_federation_of_three_sites_runs_over_the_kit(tmp_path: Path) -> None:
    """No more rights are needed: nobody is refused anything. Real processes, certificates of their own requests."""
    broker = kit_broker(tmp_path)
    with broker.running():
        federation = federation_of(broker)
        federation.options = options_of(broker, "aggregator")
        federation.run()
    for name in ("agg", *federation.names):
        assert "refused" not in {event["event"] for event in federation.events(name)}


def resident_bytes(pid: int) -> int:
    """What a process has in memory."""
    (line,) = [
        each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS:")
    ]
    return int(line.split()[1]) * 1024


def test_a_connection_costs_no_more_memory_than_sizing_says(tmp_path: Path) -> None:
    """TLS and mosquitto's own, over a hundred connections that are let in."""
    broker, count = kit_broker(tmp_path), 100
    with broker.running() as process, contextlib.ExitStack() as open_:
        context = broker.tls("s0").context()
        before = resident_bytes(process.pid)
        for _ in range(count):
            raw = socket.create_connection(("localhost", broker.port), 5.0)
            connection = open_.enter_context(context.wrap_socket(raw, server_hostname="localhost"))
            connection.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                connection.recv(1)
        each = (resident_bytes(process.pid) - before) / count
    assert 8 * 1024 < each < sizing.CONNECTION_BYTES


def serial_shown(broker: KitBroker) -> int:
    """Of the certificate that the broker shows to who connects now."""
    context = broker.tls("s0").context()
    with (
        socket.create_connection(("localhost", broker.port), 5.0) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True)).serial_number


def test_a_new_certificate_of_the_broker_is_shown_after_a_reload(tmp_path: Path) -> None:
    """Nobody is disconnected by it."""
    broker = kit_broker(tmp_path)
    with broker.running() as process, Peer(broker.url, broker.tls("s1")) as s1:
        before = serial_shown(broker)
        broker.kit("--renew", "broker")
        process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 5.0
        while serial_shown(broker) == before:
            assert time.monotonic() < until
        assert s1.write(TOPICS.site("s1", "up/ctl")) is None


def test_what_the_aggregator_retained_is_there_after_a_restart(tmp_path: Path) -> None:
    """For a site that comes then."""
    broker = kit_broker(tmp_path)
    with broker.running(), Peer(broker.url, broker.tls("aggregator")) as aggregator:
        assert aggregator.write(TOPICS.manifest, retain=True) is None
    with broker.running(), Peer(broker.url, broker.tls("s0")) as s0:
        s0.follow(TOPICS.manifest)
        assert s0.heard() == [TOPICS.manifest]


def test_shards_have_the_rights_that_they_need(tmp_path: Path) -> None:
    """A root, two shards and three sites, in real processes: nobody is refused anything."""
    broker, roles = (
        kit_broker(tmp_path),
        {"aggregator": ("--shards", 2), "shard-0": ("--shard", "0/2"), "shard-1": ("--shard", "1/2")},
    )
    for name in ("shard-0", "shard-1"):
        ask(tmp_path, name)
    broker.kit("--shards", 2)
    with broker.running():
        federation = federation_of(broker)
        started = {}
        for name, role in roles.items():
            set_up("aggregator", "init", tmp_path / "plan.toml", tmp_path / name)
            words = ("--broker", broker.url, *options_of(broker, name), *role, "--json", "--no-keys")
            started[name] = start(
                "aggregator", "serve", tmp_path / name, *words, log=tmp_path / f"{name}.log"
            )
        for name in federation.names:
            started[name] = start(
                "edge", "run", tmp_path / name, "--json", "--no-keys", log=tmp_path / f"{name}.log"
            )
        try:
            assert {name: process.wait(120) for name, process in started.items()} == dict.fromkeys(started, 0)
        finally:
            for process in started.values():
                process.kill()
    for name in started:
        assert "refused" not in {event["event"] for event in federation.events(name)}


def test_with_an_address_to_listen_on_no_other_answers(tmp_path: Path) -> None:
    """All of 127.0.0.0/8 is this machine."""
    broker = kit_broker(tmp_path, "--listen", "127.0.0.1")
    with broker.running():
        socket.create_connection(("127.0.0.1", broker.port), 5.0).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", broker.port), 5.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, as root")
def test_the_pages_way_by_hand_works_and_roots_own_files_do_not() -> None:
    """The page's own lines, without sudo; in a folder that the user mosquitto can reach."""
    if "mosquitto" not in {each.pw_name for each in pwd.getpwall()}:
        pytest.skip("there is no user mosquitto here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        broker = kit_broker(folder, "--etc", folder / "etc", "--data", folder / "state")
        settings = read_toml(folder / "kit/kit.toml", KitSettings, what="kit")
        copied = page.install(settings).replace("sudo ", "")
        subprocess.run(copied, shell=True, check=True, cwd=folder / "kit")
        made, start_ = page.by_hand(settings).splitlines()
        subprocess.run(made.removeprefix("sudo "), shell=True, check=True)
        as_mosquitto = shlex.join(SYSTEM.inside(["runuser", "-u", "mosquitto", "--", "mosquitto"]))
        command = start_.replace("sudo -u mosquitto mosquitto", f"exec {as_mosquitto}")
        with subprocess.Popen(command, shell=True, stderr=subprocess.DEVNULL) as process:
            wait_for_port("127.0.0.1", broker.port, 20.0)
            process.send_signal(signal.SIGHUP)
            with Peer(broker.url, broker.tls("s0")) as peer:
                assert peer.write(TOPICS.site("s0", "up/ctl")) is None
            process.terminate()
        os.chown(folder / "etc/mosquitto.acl", 0, 0)
        done = subprocess.run(
            program("-c", folder / "etc/mosquitto.conf"),
            capture_output=True,
            text=True,
            check=False,
            timeout=20.0,
        )
        assert done.returncode != 0
        assert "Unable to open acl_file" in done.stderr
