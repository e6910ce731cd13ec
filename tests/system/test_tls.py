"""mqtts:// to a real mosquitto: what connects, and what each failure says."""

import contextlib
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from federation import Federation, broker, need_mosquitto

from benchmarks.transport.certificates import Authority, Pair
from fedfin.demo.processes import free_port
from fedfin.errors import SettingsError
from fedfin.link import link_events, mqtt
from fedfin.link.login import Login
from fedfin.link.tls import Tls

pytestmark = pytest.mark.broker
HOSTS = ("DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA of the tests' own."""
    return Authority(tmp_path_factory.mktemp("pki") / "ours")


@contextlib.contextmanager
def tls_broker(folder: Path, authority: Authority, pair: Pair, settings: str = "") -> Iterator[str]:
    """A mosquitto with this certificate on loopback; yields host:port of its listener."""
    files = f"cafile {authority.ca}\ncertfile {pair.certificate}\nkeyfile {pair.key}"
    with broker("mosquitto", folder, f"user root\n{files}\n{settings}") as url:
        yield url.removeprefix("mqtt://")


def first_event(url: str, *, tls: Tls | None = None, login: Login | None = None) -> link_events.LinkEvent:
    """What a link says first."""
    link = mqtt.Link(url, "probe", will=("probe", bytes), tls=tls, login=login)
    link.start()
    try:
        event: link_events.LinkEvent = link.events.get(timeout=15.0)
        return event
    finally:
        link.stop()


def refusal(url: str, *, tls: Tls | None = None, login: Login | None = None) -> str:
    """The reason that a link gives for not being up."""
    event = first_event(url, tls=tls, login=login)
    assert isinstance(event, link_events.Down), event
    return event.reason


def test_a_broker_with_our_ca_and_name_is_trusted(tmp_path: Path, authority: Authority) -> None:
    """And one that asks for a client certificate takes ours, over TLS 1.3."""
    mine = authority.issue("site")
    settings = "require_certificate true\ntls_version tlsv1.3"
    with tls_broker(tmp_path, authority, authority.issue("good", hosts=HOSTS), settings) as address:
        tls = Tls(authority.ca, mine.certificate, mine.key)
        assert isinstance(first_event(f"mqtts://{address}", tls=tls), link_events.Up)


def test_a_certificate_for_another_host_is_refused(tmp_path: Path, authority: Authority) -> None:
    """The name in the URL counts."""
    with tls_broker(tmp_path, authority, authority.issue("other", hosts=("DNS:elsewhere",))) as address:
        said = refusal(f"mqtts://{address}", tls=Tls(authority.ca))
    assert f"cannot reach {address}: the broker's certificate is for another host" in said


def test_an_expired_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    """With the two remedies."""
    with tls_broker(tmp_path, authority, authority.issue("old", hosts=HOSTS, days=-1)) as address:
        said = refusal(f"mqtts://{address}", tls=Tls(authority.ca))
    assert "has expired; its operator must renew it, or this machine's clock is wrong" in said


def test_an_unknown_ca_is_refused(tmp_path: Path, authority: Authority) -> None:
    """Neither this machine's CAs nor those of another file will do."""
    stranger = Authority(tmp_path / "stranger")
    with tls_broker(tmp_path, authority, authority.issue("good", hosts=HOSTS)) as address:
        assert f"{stranger.ca} holds" in refusal(f"mqtts://{address}", tls=Tls(stranger.ca))
        assert "that this machine trusts; give its CA's file with --ca" in refusal(f"mqtts://{address}")


def test_a_refused_client_certificate_is_told(tmp_path: Path, authority: Authority) -> None:
    """The broker says so only after the handshake; the reason survives."""
    stranger = Authority(tmp_path / "stranger").issue("site")
    old = authority.issue("old-site", days=-1)
    good = authority.issue("good", hosts=HOSTS)
    with tls_broker(tmp_path, authority, good, "require_certificate true") as address:
        url = f"mqtts://{address}"
        assert "wants a client certificate; give one with --certificate" in refusal(
            url, tls=Tls(authority.ca)
        )
        for pair, words in ((stranger, "our client certificate"), (old, "client certificate has expired")):
            assert words in refusal(url, tls=Tls(authority.ca, pair.certificate, pair.key))


def test_tls_at_a_plain_port_and_the_reverse_are_told(tmp_path: Path, authority: Authority) -> None:
    """A URL with the wrong scheme."""
    with broker("mosquitto", tmp_path) as url:
        said = refusal(url.replace("mqtt://", "mqtts://"), tls=Tls(authority.ca))
    assert "the port for mqtt:// (without s)?" in said
    with tls_broker(tmp_path, authority, authority.issue("good", hosts=HOSTS)) as address:
        assert "is mqtts:// or mqtt:// right for this port?" in refusal(f"mqtt://{address}")


def test_tls_before_1_2_is_never_spoken(authority: Authority) -> None:
    """And names are always verified."""
    context = Tls(authority.ca).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (Tls(Path("nowhere.pem")), "nowhere.pem: cannot read the CA file"),
        (Tls(Path(__file__)), "holds no CA certificate in PEM"),
        (Tls(None, Path("c.pem"), Path("k.pem")), "c.pem: cannot read the client certificate"),
        (Tls(None, Path(__file__), Path("k.pem")), "k.pem: cannot read the client key"),
        (Tls(None, Path(__file__), Path(__file__)), "are not both PEM files"),
        (Tls(None, Path(__file__)), "belong together"),
    ],
)
def test_a_file_that_will_not_do_is_named(tls: Tls, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(SettingsError, match=words):
        mqtt.Link(f"mqtts://127.0.0.1:{free_port()}", "probe", will=("probe", bytes), tls=tls)


def test_a_key_of_another_certificate_is_named(authority: Authority) -> None:
    """Mixed up files."""
    one, two = authority.issue("one"), authority.issue("two")
    with pytest.raises(SettingsError, match="do not belong together"):
        Tls(None, one.certificate, two.key).context()


def test_files_for_tls_with_a_plain_url_are_refused(authority: Authority) -> None:
    """Who names a CA does not want to speak in the clear."""
    with pytest.raises(SettingsError, match="write mqtts://"):
        mqtt.Link("mqtt://127.0.0.1", "probe", will=("probe", bytes), tls=Tls(authority.ca))


def test_user_and_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file or the environment; a wrong one is told with the broker's word."""
    need_mosquitto()  # before its tool for passwords
    (tmp_path / "passwords").write_text("")
    subprocess.run(["mosquitto_passwd", "-b", tmp_path / "passwords", "anna", "hush"], check=True)
    (tmp_path / "password").write_text("hush\n")
    settings = f"user root\npassword_file {tmp_path / 'passwords'}\n"
    with broker("mosquitto", tmp_path, settings) as url:
        assert isinstance(first_event(url, login=Login("anna", tmp_path / "password")), link_events.Up)
        monkeypatch.setenv("FEDFIN_PASSWORD", "wrong")
        assert "refuses probe: Not authorized" in refusal(url, login=Login("anna"))
    monkeypatch.delenv("FEDFIN_PASSWORD")
    with pytest.raises(SettingsError, match="set the variable FEDFIN_PASSWORD"):
        Login("anna").password()
    with pytest.raises(SettingsError, match="cannot read the password file"):
        Login("anna", tmp_path / "none").password()


def test_a_renewed_certificate_needs_no_restart(tmp_path: Path, authority: Authority) -> None:
    """The files are read at each connection: a link that was refused comes up once its CA file is right."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority(tmp_path / "stranger").ca.read_bytes())
    with tls_broker(tmp_path, authority, authority.issue("good", hosts=HOSTS)) as address:
        link = mqtt.Link(f"mqtts://{address}", "probe", will=("probe", bytes), tls=Tls(ca))
        link.start()
        try:
            assert isinstance(link.events.get(timeout=15.0), link_events.Down)
            ca.write_bytes(authority.ca.read_bytes())
            assert isinstance(last_event(link), link_events.Up)
        finally:
            link.stop()


def last_event(link: mqtt.Link, seconds: float = 15.0) -> link_events.LinkEvent | None:
    """The first event that is Up, or else the last one within the time."""
    until, event = time.monotonic() + seconds, None
    while time.monotonic() < until and not isinstance(event, link_events.Up):
        with contextlib.suppress(Empty):
            event = link.events.get(timeout=0.5)
    return event


def test_a_federation_over_tls(tmp_path: Path, authority: Authority) -> None:
    """Client certificates at every party; the settings as a user gives them."""
    mine = authority.issue("site-of-a-federation")
    options = ("--ca", authority.ca, "--certificate", mine.certificate, "--key", mine.key)
    good = authority.issue("good", hosts=HOSTS)
    with tls_broker(tmp_path, authority, good, "require_certificate true") as address:
        federation = Federation(tmp_path / "f", f"mqtts://{address}", sites=2, rounds=1, options=options)
        federation.run()
    final = (tmp_path / "f" / "agg" / "final.fedfin").read_bytes()
    assert all(
        (tmp_path / "f" / n / "state" / "final.fedfin").read_bytes() == final for n in federation.names
    )
