"""`fedfin broker check` against brokers that are broken in one way each: that one is named, and no other."""

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from federation import broker as plain_broker
from federation import need_mosquitto
from kit_broker import FEDERATION, KitBroker, Peer, kit_broker

from benchmarks.transport.certificates import Authority
from fedfin.broker.check.admission import not_let_in
from fedfin.broker.check.session import Session
from fedfin.broker.check.target import Target
from fedfin.broker.kit import certificates
from fedfin.command_line.main import main
from fedfin.demo.processes import free_port
from fedfin.errors import LinkError
from fedfin.lock import only_process
from fedfin.protocol.topics import Topics
from fedfin.trust import certificate_requests

pytestmark = pytest.mark.broker
TOPICS = Topics(FEDERATION)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> KitBroker:
    """Not running."""
    return kit_broker(tmp_path_factory.mktemp("kit"))


class Report:
    """What one check printed; `codes`: its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = main(["broker", "check", *map(str, arguments), "--json"])
        self.findings = json.loads(capsys.readouterr().out)

    def not_passed(self) -> list[tuple[str, str]]:
        """(verdict, probe) of all that is not PASS."""
        return [(each["verdict"], each["probe"]) for each in self.findings if each["verdict"] != "PASS"]

    def only(self, verdict: str, probe: str) -> str:
        """What it says of the one thing that is wrong, with its remedy; the exit code goes with it."""
        assert self.not_passed() == [(verdict, probe)], self.findings
        assert self.code == (7 if verdict == "FAIL" else 0)
        (found,) = [each for each in self.findings if each["probe"] == probe and each["verdict"] == verdict]
        assert found["remedy"]
        return f"{found['says']}; {found['remedy']}"


@pytest.fixture
def check(kit: KitBroker, capsys: pytest.CaptureFixture[str]):
    """Ask the kit's broker, as s0 unless told otherwise."""

    def ask(url: str | None = None, name: str = "s0", **files: Path | None) -> Report:
        tls = kit.tls(name)
        given = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key} | files
        options = [word for key, path in given.items() if path for word in (f"--{key}", path)]
        return Report(capsys, url or kit.url, "--federation", FEDERATION, *options)

    return ask


def certificate(
    kit: KitBroker, folder: Path, name: str, *, start: int, end: int, server: bool = False
) -> dict[str, Path]:
    """One of the kit's CA, valid from `start` to `end` days from now."""
    key = certificate_requests.make_key()
    ca = certificates.read(kit.folder / "kit/ca/ca.pem")
    signer = serialization.load_pem_private_key((kit.folder / "kit/ca/ca.key").read_bytes(), None)
    times = [certificates.now() + timedelta(days=days) for days in (start, end)]
    subject = certificate_requests.common_name(name)
    builder = x509.CertificateBuilder(
        ca.subject, subject, key.public_key(), x509.random_serial_number(), *times
    )
    for extension, critical in certificates.profile(("localhost",) if server else ()):
        builder = builder.add_extension(extension, critical=critical)
    (folder / "own.pem").write_bytes(certificates.pem(builder.sign(signer, hashes.SHA256())))
    (folder / "own.key").write_bytes(certificate_requests.key_pem(key))
    return {"certificate": folder / "own.pem", "key": folder / "own.key"}


def as_server(files: dict[str, Path]) -> dict[str, str]:
    """As lines of mosquitto's configuration."""
    return {"certfile": str(files["certificate"]), "keyfile": str(files["key"])}


def retained(kit: KitBroker) -> list[str]:
    """Topics of all that is retained, as whoever may read everything finds it at the next start."""
    with kit.running(rules="pattern read #\n"), Peer(kit.url, kit.tls("s2")) as peer:
        peer.follow("#")
        return peer.heard()


@pytest.mark.parametrize("name", ["s0", "aggregator"])
def test_the_kits_own_broker_passes(kit: KitBroker, check, name: str) -> None:
    """Every line, for a site and for the aggregator."""
    with kit.running():
        report = check(name=name)
    assert report.not_passed() == []
    assert report.code == 0
    probes = [each["probe"] for each in report.findings]
    assert probes == [
        "clock", "certificate", "dns", "tcp", "tls", "broker certificate", "client certificate", "connect", "session",
        "strangers", "rights to write", "rights of others", "rights to read", "retained", "packet", "round trip",
        "throughput", "identity",
    ]  # fmt: skip


def test_nothing_is_left_at_the_broker(kit: KitBroker, check) -> None:
    """What is retained survives a restart, and what another client retained does; of the check there is nothing."""
    mark = TOPICS.site("s1", "up/state")
    with kit.running():
        check()
        with Peer(kit.url, kit.tls("s1")) as peer:
            peer.write(mark, retain=True)
    assert retained(kit) == [mark]


def test_a_name_that_does_not_resolve(check) -> None:
    """The top-level domain `invalid` never does (RFC 2606)."""
    assert "broker.invalid does not resolve" in check("mqtts://broker.invalid").only("FAIL", "dns")


def test_a_port_where_nobody_listens(check) -> None:
    """As when the broker is not started."""
    assert "nobody listens there; start the broker" in check(f"mqtts://localhost:{free_port()}").only(
        "FAIL", "tcp"
    )


def test_a_port_without_tls(check, tmp_path: Path) -> None:
    """The URL says mqtts."""
    with plain_broker("mosquitto", tmp_path) as url:
        said = check(url.replace("mqtt://127.0.0.1", "mqtts://localhost")).only("FAIL", "tls")
    assert "leave out the s" in said


def test_a_port_with_tls_called_without(kit: KitBroker, capsys: pytest.CaptureFixture[str]) -> None:
    """The URL says mqtt: that it is in the clear is said, too."""
    with kit.running():
        report = Report(capsys, f"mqtt://localhost:{kit.port}", "--federation", FEDERATION, "--as", "s0")
    assert report.not_passed() == [("WARN", "tls"), ("FAIL", "connect")]
    assert "write mqtts:// if the broker speaks TLS" in report.findings[-1]["remedy"]


def test_tls_1_2_only(kit: KitBroker, check, tmp_path: Path) -> None:
    """It works. mosquitto's own setting is the least version; OpenSSL's holds it to the older one."""
    sections = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n"
    (tmp_path / "openssl.cnf").write_text(sections)
    with kit.running(environment={"OPENSSL_CONF": str(tmp_path / "openssl.cnf")}, tls_version="tlsv1.2"):
        said = check().only("WARN", "tls")
    assert "speaks TLSv1.2" in said


def test_a_certificate_of_another_ca(kit: KitBroker, check, tmp_path: Path) -> None:
    """The client knows another CA than the broker has."""
    other = Authority(tmp_path / "other")
    with kit.running():
        said = check(ca=other.ca).only("FAIL", "broker certificate")
    assert "not signed by a CA that" in said
    assert "give its CA's file with --ca" in said
    assert "FedFIN broker CA of ward" in said


def test_a_certificate_for_another_host(kit: KitBroker, check) -> None:
    """The names that it is for are shown."""
    with kit.running():
        said = check(f"mqtts://127.0.0.1:{kit.port}").only("FAIL", "host name")
    assert "the certificate is for localhost; write the name" in said


def test_a_broker_whose_certificate_has_ended(kit: KitBroker, check, tmp_path: Path) -> None:
    """Since when is shown."""
    old = certificate(kit, tmp_path, "localhost", start=-9, end=-2, server=True)
    with kit.running(**as_server(old)):
        said = check().only("FAIL", "broker certificate")
    assert "ended on" in said
    assert "operator must renew it" in said


def test_a_broker_whose_certificate_begins_tomorrow(kit: KitBroker, check, tmp_path: Path) -> None:
    """So does every certificate to a clock that is a day behind."""
    new = certificate(kit, tmp_path, "localhost", start=1, end=9, server=True)
    with kit.running(**as_server(new)):
        said = check().only("FAIL", "clock")
    assert "the broker's certificate is valid from" in said
    assert "set this machine's clock" in said


@pytest.mark.parametrize(
    ("scheme", "remedy"), [("mqtts", "--renew broker"), ("wss", "it is the web server's")]
)
def test_whoever_should_renew_a_certificate_that_ends_soon_is_named(
    kit: KitBroker, check, tmp_path: Path, scheme: str, remedy: str
) -> None:
    """TLS is the same over both; what comes after it is not asked here."""
    files = certificate(kit, tmp_path, "localhost", start=-1, end=9, server=True)
    with kit.running(**as_server(files)):
        report = check(kit.url.replace("mqtts", scheme))
    (found,) = [each for each in report.findings if each["probe"] == "broker certificate"]
    assert (found["verdict"], remedy in found["remedy"]) == ("WARN", True)


def test_our_certificate_begins_tomorrow(kit: KitBroker, check, tmp_path: Path) -> None:
    """Known before anything is sent."""
    said = check(**certificate(kit, tmp_path, "s0", start=1, end=9)).only("FAIL", "clock")
    assert "our certificate is valid from" in said


def test_our_certificate_has_ended(kit: KitBroker, check, tmp_path: Path) -> None:
    """Known before anything is sent."""
    said = check(**certificate(kit, tmp_path, "s0", start=-9, end=-2)).only("FAIL", "certificate")
    assert "who renews it" in said


def test_our_certificate_ends_soon(kit: KitBroker, check, tmp_path: Path) -> None:
    """All works; the days are shown."""
    with kit.running():
        said = check(**certificate(kit, tmp_path, "s0", start=-9, end=9)).only("WARN", "certificate")
    assert "in 8 days" in said or "in 9 days" in said


def test_our_certificate_was_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The broker says so."""
    made = kit_broker(tmp_path)
    tls = made.tls("s0")
    old = shutil.copy(tls.certificate, tmp_path / "old.pem")
    made.kit("--revoke", "s0")
    with made.running():
        capsys.readouterr()
        files = ("--ca", tls.ca, "--certificate", old, "--key", tls.key)
        said = Report(capsys, made.url, "--federation", FEDERATION, *files).only("FAIL", "client certificate")
    assert "was revoked" in said


def test_our_certificate_is_of_another_ca(kit: KitBroker, check, tmp_path: Path) -> None:
    """The broker says so, in its way."""
    pair = Authority(tmp_path / "other").issue("s0", days=60)
    with kit.running():
        said = check(certificate=pair.certificate, key=pair.key).only("FAIL", "client certificate")
    assert "ask its operator" in said


def test_no_certificate_where_one_is_wanted(kit: KitBroker, capsys: pytest.CaptureFixture[str]) -> None:
    """What to give is said."""
    with kit.running():
        report = Report(capsys, kit.url, "--ca", kit.tls("s0").ca)
    assert "with --certificate and --key" in report.only("FAIL", "client certificate")


def test_another_name_than_the_certificates(
    kit: KitBroker, check, capsys: pytest.CaptureFixture[str]
) -> None:
    """Known before anything is sent."""
    tls = kit.tls("s0")
    files = ("--ca", tls.ca, "--certificate", tls.certificate, "--key", tls.key)
    said = Report(capsys, kit.url, "--federation", FEDERATION, "--as", "s1", *files).only("FAIL", "identity")
    assert "is of 's0', not of 's1'" in said


def test_rules_of_another_federation(kit: KitBroker, check) -> None:
    """No right at all; what needs one is not blamed."""
    rules = (kit.folder / "kit/broker/mosquitto.acl").read_text()
    with kit.running(rules=rules.replace("/ward/", "/chest/")):
        report = check()
    assert report.not_passed() == [("FAIL", "rights to write"), ("WARN", "own topic")]
    assert report.code == 7
    assert "the federation's name" in next(
        each["remedy"] for each in report.findings if each["verdict"] == "FAIL"
    )


def test_no_rules_at_all(kit: KitBroker, check) -> None:
    """Certificates alone do not keep a site from being the aggregator."""
    with kit.running(rules="pattern readwrite #\n"):
        said = check().only("FAIL", "rights of others")
    assert "may write site/fedfin-check/up/ctl" in said
    assert "global/manifest, which are not its own" in said


def rules_without(kit: KitBroker, *lines: str) -> str:
    """The kit's rights but for these lines."""
    rules = (kit.folder / "kit/broker/mosquitto.acl").read_text()
    for line in lines:
        assert f"{line}\n" in rules
        rules = rules.replace(f"{line}\n", "")
    return rules


@contextlib.contextmanager
def an_aggregator_was_there(kit: KitBroker) -> Iterator[set[str]]:
    """The topics on which it left something; cleared in the end, since the broker keeps it over a restart."""
    topics = {TOPICS.charter, TOPICS.aggregator_state, TOPICS.manifest}
    for payload in (b"x", b""):
        with Peer(kit.url, kit.tls("aggregator")) as peer:
            assert not any(peer.write(topic, payload, retain=True) for topic in topics)
        if payload:
            yield topics


@pytest.mark.parametrize("topic", ["agg/charter", "agg/state", "global/#"])
def test_each_right_to_write_of_the_aggregator_is_asked(kit: KitBroker, check, topic: str) -> None:
    """One is taken away at a time."""
    with kit.running(rules=rules_without(kit, f"topic readwrite {TOPICS.root}/{topic}")):
        said = check(name="aggregator").only("FAIL", "rights to write")
    assert said.startswith(f"aggregator may not write {topic.replace('#', 'manifest')};")


def test_what_is_retained_stays_when_the_right_to_write_it_is_asked(kit: KitBroker, check) -> None:
    """Also where the check may clear it: a charter, and whether the aggregator is there."""
    with kit.running(), an_aggregator_was_there(kit) as topics:
        assert check(name="aggregator").not_passed() == []
        with Peer(kit.url, kit.tls("s0")) as peer:
            peer.follow(*topics)
            assert set(peer.heard()) == topics


def test_what_a_site_was_granted_is_not_called_delivered(kit: KitBroker, check) -> None:
    """Nothing is retained before an aggregator was there, so nobody can know."""
    lines = [f"pattern read {TOPICS.root}/{topic}" for topic in ("global/#", "site/%u/dn/ctl", "agg/charter")]
    with kit.running(rules=rules_without(kit, *lines)):
        report = check()
    assert report.not_passed() == []
    (said,) = [each["says"] for each in report.findings if each["probe"] == "rights to read"]
    assert said.startswith(
        "granted site/s0/dn/ctl, site/s0/dn/chunk, agg/state, agg/charter, global/manifest:"
    )
    assert said.endswith("whether it delivers is not tested")


@pytest.mark.parametrize("topic", ["agg/charter", "agg/state", "global/#"])
def test_what_an_aggregator_retained_and_a_site_may_not_read_is_told(
    kit: KitBroker, check, topic: str
) -> None:
    """The others come, so this one must."""
    rules = rules_without(kit, f"pattern read {TOPICS.root}/{topic}")
    with kit.running(rules=rules), an_aggregator_was_there(kit):
        said = check().only("WARN", "rights to read")
    assert f"nothing comes on {topic.replace('#', 'manifest')}, while" in said
    assert "let s0 read it" in said


@pytest.mark.parametrize("topic", ["agg/charter", "agg/state", "global/#"])
def test_what_the_aggregator_cannot_read_of_its_own_is_told(kit: KitBroker, check, topic: str) -> None:
    """It says it to itself; what only sites may write is not called delivered."""
    line = f"topic readwrite {TOPICS.root}/{topic}"
    rules = rules_without(kit, f"pattern read {TOPICS.root}/{topic}").replace(line, line.replace("read", ""))
    with kit.running(rules=rules):
        said = check(name="aggregator").only("WARN", "rights to read")
    assert f"nothing comes on {topic.replace('#', 'manifest')}" in said


def test_names_of_certificates_that_are_not_taken(kit: KitBroker, check) -> None:
    """The certificate was given, so that is not the remedy."""
    with kit.running(use_identity_as_username=""):
        said = check().only("FAIL", "connect")
    assert "took our certificate but not its name as who we are" in said
    assert "mosquitto: `use_identity_as_username true`" in said


def test_qos_0_only(kit: KitBroker, check) -> None:
    """Our last will has QoS 1, so we are not let in."""
    with kit.running(max_qos="0"):
        assert "allow QoS 1 (mosquitto: `max_qos 1`)" in check().only("FAIL", "session")


def test_packets_that_are_too_small(kit: KitBroker, check) -> None:
    """As the broker announces it."""
    with kit.running(max_packet_size="100000"):
        said = check().only("FAIL", "packet")
    assert "100000 bytes at most" in said
    assert "max_packet_size 266240" in said


def test_payloads_that_are_too_small(kit: KitBroker, check) -> None:
    """The broker announces nothing, and refuses."""
    with kit.running(message_size_limit="100000"):
        assert "260 KiB" in check().only("FAIL", "packet")


def test_packets_of_the_urls_size_pass(kit: KitBroker, check) -> None:
    """Where the broker takes them; they are what the throughput is measured with."""
    with kit.running(max_packet_size="1052672"):
        report = check(f"{kit.url}?packet=1024")
    assert report.not_passed() == []
    says = {each["probe"]: each["says"] for each in report.findings}
    assert "1028 KiB pass" in says["packet"]
    assert "4 packets of 1024 KiB" in says["throughput"]


def test_packets_of_the_urls_size_that_the_broker_does_not_take_are_told(kit: KitBroker, check) -> None:
    """It works, in smaller ones."""
    with kit.running():
        said = check(f"{kit.url}?packet=1024").only("WARN", "packet")
    assert "266240 bytes at most" in said
    assert "max_packet_size 1052672" in said
    assert "`packet=` in the URL" in said


def test_a_url_with_smaller_packets_asks_for_no_larger_ones(kit: KitBroker, check) -> None:
    """The broker announces nothing, and refuses those of 260 KiB."""
    with kit.running(message_size_limit="100000"):
        report = check(f"{kit.url}?packet=64")
    assert report.not_passed() == []


def test_no_retained_messages(kit: KitBroker, check) -> None:
    """A site that comes late would never hear of the round."""
    with kit.running(retain_available="false"):
        assert "retain_available true" in check().only("FAIL", "retained")


def test_client_ids_that_are_free(kit: KitBroker, check) -> None:
    """All works, and one site can end another's connection."""
    with kit.running(use_username_as_clientid=""):
        assert "use_username_as_clientid true" in check().only("WARN", "identity")


def test_a_broker_for_trying_things_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It works, and everything that it does not protect is said; nothing fails."""
    with plain_broker("mosquitto", tmp_path) as url:
        report = Report(capsys, url, "--federation", FEDERATION, "--as", "s0")
    assert report.not_passed() == [("WARN", "tls"), ("WARN", "strangers"), ("WARN", "rights of others")]
    assert report.code == 0


def test_without_a_federation_the_rest_is_asked(kit: KitBroker, capsys: pytest.CaptureFixture[str]) -> None:
    """And what was not is said."""
    tls = kit.tls("s0")
    with kit.running():
        report = Report(capsys, kit.url, "--ca", tls.ca, "--certificate", tls.certificate, "--key", tls.key)
    assert "--federation NAME" in report.only("WARN", "rights")


def test_a_site_asks_with_its_folders_settings(
    kit: KitBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, for people; paths start at the folder."""
    tls = kit.tls("s0")
    for path in (tls.ca, tls.certificate, tls.key):
        shutil.copy(path, tmp_path)
    files = f'ca = "ca.pem"\ncertificate = "{tls.certificate.name}"\nkey = "{tls.key.name}"'
    head = f'site = "s0"\nfederation = "{FEDERATION}"\nbroker = "{kit.url}"\n'
    (tmp_path / "site.toml").write_text(f"{head}[tls]\n{files}\n")
    with kit.running():
        assert main(["broker", "check", "--site-folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 18
    assert all(line.startswith("PASS  ") for line in lines)


def test_a_site_asks_before_it_is_admitted(
    kit: KitBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority's certificate comes with the admission; where this machine trusts it already, ours does."""
    (tmp_path / "site.toml").write_text(f'site = "s0"\nfederation = "{FEDERATION}"\nbroker = "{kit.url}"\n')
    with kit.running():
        said = Report(capsys, "--site-folder", tmp_path).only("FAIL", "broker certificate")
        assert "it comes with `fedfin edge accept`" in said
        monkeypatch.setenv("SSL_CERT_FILE", str(kit.tls("s0").ca))
        said = Report(capsys, "--site-folder", tmp_path).only("FAIL", "client certificate")
        assert "it comes with `fedfin edge accept`" in said


def test_a_site_that_runs_must_be_stopped_first(
    kit: KitBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else each would end the other's connection, again and again."""
    (tmp_path / "site.toml").write_text(f'site = "s0"\nfederation = "{FEDERATION}"\nbroker = "{kit.url}"\n')
    with only_process(tmp_path, "fedfin edge run"):
        assert main(["broker", "check", "--site-folder", str(tmp_path)]) == 9
    assert "another `fedfin edge run` is at work" in capsys.readouterr().err


def test_a_client_of_the_same_name_that_runs_is_the_remedy(kit: KitBroker) -> None:
    """It takes the connection over; mosquitto 2.1 says so, 2.0 does not."""
    target = Target(kit.url, kit.tls("s0"), federation=FEDERATION)
    with kit.running(), Session(target, "one") as session, Peer(kit.url, kit.tls("s0")):
        with pytest.raises(LinkError) as ended:
            session.publish(session.topic)
        found = not_let_in(ended.value, target)
    assert found.failed
    assert "end what runs under this name" in found.remedy


def test_a_server_that_never_answers(
    check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without TLS; the time to wait is shortened here."""
    monkeypatch.setattr("fedfin.link.dial.CONNECT_S", 0.5)
    monkeypatch.setattr("fedfin.broker.check.session.ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"localhost:{server.getsockname()[1]}"
        assert "broke in the handshake" in check(f"mqtts://{where}").only("FAIL", "tls")
        report = Report(capsys, f"mqtt://{where}")
    assert report.not_passed() == [("WARN", "tls"), ("FAIL", "connect")]
    assert "does not speak MQTT" in report.findings[-1]["remedy"]


def test_text_in_a_certificate_does_nothing_to_a_terminal(
    kit: KitBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who holds the port may put anything into its own."""
    key = certificate_requests.make_key()
    name = certificate_requests.common_name("\x1b[2J\x1b]0;owned\x07")
    times = (certificates.now() - timedelta(days=1), certificates.now() + timedelta(days=1))
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), *times)
    (tmp_path / "odd.pem").write_bytes(certificates.pem(builder.sign(key, hashes.SHA256())))
    (tmp_path / "odd.key").write_bytes(certificate_requests.key_pem(key))
    odd = {"certificate": tmp_path / "odd.pem", "key": tmp_path / "odd.key"}
    with kit.running(**as_server(odd)):
        assert main(["broker", "check", kit.url, "--ca", str(kit.tls("s0").ca)]) == 7
    printed = capsys.readouterr().out
    assert "owned" in printed
    assert all(sign.isprintable() or sign == "\n" for sign in printed)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name the broker by its URL"),
        (("mqtts://x", "--site-folder", "y"), "give nothing beside it"),
        (("--site-folder", "nowhere"), "there is no such site folder"),
        (("http://x",), "only mqtts://"),
        (("mqtts://x", "--ca", "nowhere"), "cannot read the CA file"),
        (("mqtts://x", "--certificate", "nowhere", "--key", "k"), "cannot read the client certificate"),
    ],
)
def test_mistakes_on_the_command_line_are_told(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, and nothing is asked."""
    need_mosquitto()
    assert main(["broker", "check", *arguments]) == 3
    assert words in capsys.readouterr().err
