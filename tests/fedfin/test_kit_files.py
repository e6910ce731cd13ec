"""`fedfin broker kit`: what it signs and what it refuses, and what another run leaves as it is."""

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from benchmarks.transport.certificates import Authority
from fedfin.broker.kit import certificates, mosquitto_conf, page
from fedfin.broker.kit.settings import KitSettings
from fedfin.command_line.main import main
from fedfin.trust.certificate_requests import make_key, make_request
from fedfin.trust.identity import make_identity
from fedfin.trust.request import Request, read_request, sign_request, write_request

PEM = serialization.Encoding.PEM
DOCS = Path(__file__).parents[2] / "docs/broker.md"


class Desk:
    """An operator's folder, with what has come in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kit = folder, folder / "kit"
        (folder / "requests").mkdir()
        self.sites("st-mary", "st-john")

    def sites(self, *names: str) -> None:
        """Write the list."""
        (self.folder / "sites.txt").write_text("\n".join(names))

    def asks(self, name: str, **key: object) -> None:
        """A request of this name comes, of a new key."""
        request = make_request(name, make_key(), **key)
        (self.folder / "requests" / f"{name}.csr").write_bytes(request.public_bytes(PEM))

    def run(self, *options: object) -> int:
        """The kit, with all that has come."""
        always = (
            "--out",
            self.kit,
            "--sites",
            self.folder / "sites.txt",
            "--requests",
            self.folder / "requests",
        )
        return main(["broker", "kit", *map(str, (*always, *options))])

    def new(self, *options: object) -> int:
        """The first run."""
        return self.run("--federation", "chest", "--host", "broker.example", "--mosquitto", "2.0", *options)

    def certificate(self, name: str) -> x509.Certificate:
        """What the kit gives this client."""
        found = certificates.read(self.kit / "sites" / f"{name}.pem")
        assert found is not None
        return found

    def files(self) -> dict[str, bytes]:
        """Everything but the list of revoked certificates, which is signed anew by each run."""
        found = {
            path.relative_to(self.kit).as_posix(): path for path in self.kit.rglob("*") if path.is_file()
        }
        return {name: path.read_bytes() for name, path in found.items() if name != "broker/crl.pem"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Requests of the aggregator and one of two sites have come."""
    made = Desk(tmp_path)
    made.asks("aggregator")
    made.asks("st-mary")
    return made


def test_who_asked_gets_a_certificate_and_who_did_not_is_waited_for(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name."""
    assert desk.new() == 0
    told = capsys.readouterr().out
    assert (
        "st-john     waits for its request: put it into the folder that --requests names, as st-john.csr"
        in told
    )
    assert "st-mary     valid until" in told
    assert not (desk.kit / "sites/st-john.pem").exists()


def test_a_second_run_changes_nothing_and_a_new_site_touches_nobody(desk: Desk) -> None:
    """To the byte."""
    desk.new()
    before = desk.files()
    assert desk.run() == 0
    assert desk.files() == before
    desk.asks("st-john")
    assert desk.run() == 0
    after = desk.files()
    new = {"sites/st-john.pem", "ca/issued.json"}
    assert {name for name in after if after[name] != before.get(name)} == new


def test_keys_are_readable_by_their_owner_only(desk: Desk) -> None:
    """And so are the folders round them."""
    desk.new()
    for name in ("ca/ca.key", "broker/broker.key"):
        assert (desk.kit / name).stat().st_mode & 0o777 == 0o600
    for name in (".", "ca", "broker", "sites"):
        assert (desk.kit / name).stat().st_mode & 0o777 == 0o700


def test_no_key_of_a_client_is_in_the_kit_unless_it_was_told_to_make_them(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then it says that they travel."""
    desk.new()
    assert {path.name for path in desk.kit.rglob("*.key")} == {"ca.key", "broker.key"}
    capsys.readouterr()
    assert desk.run("--make-keys") == 0
    assert [path.name for path in (desk.kit / "sites").iterdir() if path.suffix == ".key"] == ["st-john.key"]
    assert "the keys of st-john were made here and will travel" in capsys.readouterr().err


def test_renewing_one_leaves_the_others(desk: Desk) -> None:
    """The old certificate stays valid: it is not revoked."""
    desk.new()
    before = desk.files()
    assert desk.run("--renew", "st-mary") == 0
    changed = {name for name, data in desk.files().items() if data != before[name]}
    assert changed == {"sites/st-mary.pem", "ca/issued.json"}
    assert not list(x509.load_pem_x509_crl((desk.kit / "broker/crl.pem").read_bytes()))


def test_a_host_that_is_added_gets_a_new_server_certificate_of_the_same_key(desk: Desk) -> None:
    """Nobody else's changes."""
    desk.new()
    before = desk.files()
    assert desk.run("--host", "broker.example", "--host", "10.0.0.7") == 0
    after = certificates.read(desk.kit / "broker/broker.pem")
    assert after is not None
    assert certificates.hosts_of(after) == ("broker.example", "10.0.0.7")
    assert desk.files()["broker/broker.key"] == before["broker/broker.key"]


def test_of_a_request_only_the_key_is_taken(desk: Desk) -> None:
    """Who asks to be a CA, or a server, becomes a client."""
    wishes = (
        x509.BasicConstraints(ca=True, path_length=None),
        certificates.alternative_names(("broker.example",)),
    )
    desk.asks("st-john", extensions=wishes)
    desk.new()
    made = desk.certificate("st-john")
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificates.hosts_of(made) == ()


def _signed_by_another() -> bytes:
    """A real request whose key was exchanged on the way."""
    der = bytearray(make_request("st-john", make_key()).public_bytes(serialization.Encoding.DER))
    other = (
        make_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    own = x509.load_der_x509_csr(bytes(der)).public_key()
    old = own.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    at = der.index(old)
    der[at : at + len(old)] = other
    return x509.load_der_x509_csr(bytes(der)).public_bytes(PEM)


def _of_names(*names: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(make_key(), hashes.SHA256()).public_bytes(PEM)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (_signed_by_another(), "its signature is wrong"),
        (_of_names("st-john", "aggregator"), "exactly one common name"),
        (_of_names(), "exactly one common name"),
        (
            make_request("st-john", rsa.generate_private_key(65537, 1024)).public_bytes(PEM),
            "fewer than 2048 bits",
        ),
        (
            make_request("st-john", ec.generate_private_key(ec.SECP256K1())).public_bytes(PEM),
            "not P-256 or P-384",
        ),
        (_of_names("st-john").replace(b"MI", b"MJ"), "it is damaged"),
    ],
    ids=["another key", "two names", "no name", "short key", "odd curve", "damaged"],
)
def test_a_request_that_cannot_be_trusted_is_refused_by_name(
    desk: Desk, request_: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is made."""
    (desk.folder / "requests" / "odd.csr").write_bytes(request_)
    assert desk.new() == 3
    said = capsys.readouterr().err
    assert "odd.csr: this certificate request cannot be signed" in said
    assert words in said
    assert not desk.kit.exists()


def test_text_around_a_request_and_files_that_are_none_do_not_matter(desk: Desk) -> None:
    """A request may come in a letter, or in a document of JSON."""
    path = desk.folder / "requests" / "st-mary.csr"
    path.write_bytes(b"Dear operator,\n\n" + path.read_bytes() + b"\nYours\n")
    path = desk.folder / "requests" / "aggregator.csr"
    path.write_text(json.dumps({"name": "aggregator", "certificate_request": path.read_text()}, indent=2))
    (desk.folder / "requests" / "notes.txt").write_text("call St. John")
    assert desk.new() == 0
    assert desk.certificate("st-mary")
    assert (desk.kit / "aggregator.pem").exists()


def test_the_fingerprint_of_a_request_is_the_one_that_its_sender_saw(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """So one call by telephone does for the coordinator and for the broker's operator."""
    out = desk.folder / "requests/st-john.request"
    keys = write_request(desk.folder / "trust", out, role="site", name="st-john", federation="chest")
    assert desk.new() == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("st-john "))
    assert line.endswith(f"; fingerprint {keys.fingerprint}")
    assert desk.run("--list", "--json") == 0
    shown = {each["name"]: each["fingerprint"] for each in json.loads(capsys.readouterr().out)}
    assert shown["st-john"] == keys.fingerprint
    assert shown["broker"] is None


def test_a_certificate_request_that_was_exchanged_inside_a_request_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose fingerprint would still be the right one; without its frame it has another."""
    out = desk.folder / "requests/st-john.request"
    keys = write_request(desk.folder / "trust", out, role="site", name="st-john", federation="chest")
    own = read_request(out).certificate_request
    other = make_request("st-john", make_key()).public_bytes(PEM).decode()
    out.write_text(out.read_text().replace(json.dumps(own)[1:-1], json.dumps(other)[1:-1]))
    assert desk.new() == 3
    assert "its signature is not by the key" in capsys.readouterr().err
    assert not desk.kit.exists()
    out.write_text(other)
    assert desk.new() == 0
    assert keys.fingerprint not in capsys.readouterr().out


def test_a_request_for_anothers_certificate_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """A site that has keys of its own asks for the aggregator's name."""
    (desk.folder / "requests/aggregator.csr").unlink()
    identity = make_identity(desk.folder / "trust")
    request = Request(
        role="site",
        name="st-john",
        federation="chest",
        keys=identity.public,
        certificate_request=make_request("aggregator", make_key()).public_bytes(PEM).decode(),
    )
    (desk.folder / "requests/st-john.request").write_text(sign_request(request, identity))
    assert desk.new() == 3
    assert "'st-john' asks for a certificate of 'aggregator'" in capsys.readouterr().err


def test_the_fingerprint_of_a_plain_request_is_what_openssl_says(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command of docs/broker.md."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = re.search(r"`(openssl req -in .*?sha256sum)`", DOCS.read_text())
    assert command is not None
    line = command[1].replace("shard-0.csr", "st-mary.csr")
    done = subprocess.run(
        line, shell=True, cwd=desk.folder / "requests", capture_output=True, text=True, check=True
    )
    assert desk.new("--json") == 0
    shown = {each["name"]: each["fingerprint"] for each in json.loads(capsys.readouterr().out)}
    assert shown["st-mary"].replace(" ", "") == done.stdout[:32]


def test_two_requests_of_one_name_are_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Which of them is the site's, a person must say."""
    shutil.copy(desk.folder / "requests/st-mary.csr", desk.folder / "requests/again.csr")
    assert desk.new() == 3
    assert "both ask for 'st-mary'" in capsys.readouterr().err


def test_a_request_of_a_new_key_waits_for_a_person(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever can put a file into the folder does not get another's name by it."""
    desk.new()
    before = desk.files()
    desk.asks("st-mary")
    assert desk.run() == 0
    assert desk.files() == before
    assert "its request holds another key: --renew st-mary if it made a new one" in capsys.readouterr().out


def test_a_revoked_site_is_in_the_list_that_the_broker_reads_with_all_its_certificates(desk: Desk) -> None:
    """Also the one from before the last renewal."""
    desk.new()
    serials = {desk.certificate("st-mary").serial_number}
    desk.run("--renew", "st-mary")
    serials.add(desk.certificate("st-mary").serial_number)
    assert desk.run("--revoke", "st-mary") == 0
    revoked = x509.load_pem_x509_crl((desk.kit / "broker/crl.pem").read_bytes())
    assert {each.serial_number for each in revoked} == serials
    assert "user st-mary\ntopic deny #\n" in (desk.kit / "broker/mosquitto.acl").read_text()


def test_the_list_of_revoked_certificates_does_not_end_before_the_ca(desk: Desk) -> None:
    """When it does, mosquitto refuses everybody."""
    desk.new()
    revoked = x509.load_pem_x509_crl((desk.kit / "broker/crl.pem").read_bytes())
    ca = certificates.read(desk.kit / "ca/ca.pem")
    assert ca is not None
    assert revoked.next_update_utc == ca.not_valid_after_utc
    assert revoked.is_signature_valid(ca.public_key())


def test_what_ends_soon_is_shown(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """With the option that renews it; --list changes nothing."""
    desk.new("--days", 20)
    before = desk.files()
    capsys.readouterr()
    assert desk.run("--list", "--json") == 0
    shown = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    end = f"{certificates.now() + timedelta(days=20):%Y-%m-%d}"
    assert shown["st-mary"]["state"] == f"ends on {end}: --renew st-mary"
    assert shown["CA"]["state"].startswith("valid until")
    assert desk.files() == before


def test_another_ca_signs_what_the_kit_asks_for(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests go out, answers come in, and no key of a CA is made."""
    assert desk.new("--csr") == 0
    to_sign, signed = desk.kit / "ca/to-sign", desk.kit / "ca/signed"
    assert {path.name for path in to_sign.iterdir()} == {"broker.csr", "aggregator.csr", "st-mary.csr"}
    other = Authority(desk.folder / "theirs")
    shutil.copy(other.ca, signed / "ca.pem")
    for path in to_sign.iterdir():
        shutil.copy(path, other.folder)
        command = [
            "openssl",
            "ca",
            "-config",
            "openssl.cnf",
            "-batch",
            "-notext",
            "-days",
            "60",
            "-in",
            path.name,
        ]
        subprocess.run(
            [*command, "-out", f"{path.stem}.pem"], cwd=other.folder, check=True, capture_output=True
        )
        shutil.copy(other.folder / f"{path.stem}.pem", signed)
    assert desk.run() == 0
    assert not list(to_sign.iterdir())
    assert not (desk.kit / "ca/ca.key").exists()
    assert desk.certificate("st-mary").issuer == certificates.read(other.ca).subject
    assert "crlfile" not in (desk.kit / "broker/mosquitto.conf").read_text()
    assert desk.run("--revoke", "st-mary") == 3
    assert "let the CA revoke it" in capsys.readouterr().err


def test_an_answer_of_another_ca_that_does_not_fit_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here: of another key."""
    desk.new("--csr")
    other = Authority(desk.folder / "theirs")
    shutil.copy(other.ca, desk.kit / "ca/signed/ca.pem")
    shutil.copy(other.issue("st-mary").certificate, desk.kit / "ca/signed/st-mary.pem")
    assert desk.run() == 3
    assert "st-mary.pem: the certificate is for another key than the request" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("St. Mary", "cannot be a site's name"),
        ("a/b", "cannot be a site's name"),
        ("#\n+", "cannot be a site's name"),
        ("aggregator", "is not free for a site"),
        ("shard-0", "is not free for a site"),
        ("a\nb # comment\na", "named twice"),
    ],
)
def test_names_that_would_be_somebody_else_are_refused(
    desk: Desk, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Topics are made of them."""
    desk.sites(text)
    assert desk.new() == 3
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "x"), "needs --federation NAME"),
        (("--federation", "x"), "needs --host"),
        (("--federation", "x", "--host", "a b"), "a host name or address"),
        (("--federation", "x", "--host", "a", "--etc", "here"), "an absolute path"),
        (("--federation", "x", "--host", "a", "--listen", "a b"), "an address of the broker's machine"),
        (("--federation", "x", "--host", "a", "--most-sites", "1"), "--most-sites 4"),
        (("--federation", "x", "--host", "a", "--renew", "nobody"), "knows no such name"),
        (("--federation", "x", "--host", "a", "--revoke", "st-mary"), "has no valid certificate"),
        (("--federation", "x", "--host", "a", "--days", "9999"), "give fewer days"),
        (("--list",), "is no kit"),
    ],
)
def test_mistakes_are_told_with_the_remedy(
    desk: Desk, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3."""
    assert desk.run(*options) == 3
    assert words in capsys.readouterr().err


def test_a_site_that_vanishes_from_the_list_must_be_shut_out_first(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its certificate would go on."""
    desk.new()
    desk.sites("st-john")
    assert desk.run() == 3
    assert "--revoke st-mary" in capsys.readouterr().err
    desk.sites("st-john", "st-mary")
    desk.run("--revoke", "st-mary")
    desk.sites("st-john")
    assert desk.run() == 0


def test_a_damaged_list_of_what_was_signed_stops_everything(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not in it cannot be revoked."""
    desk.new()
    (desk.kit / "ca/issued.json").write_text("[")
    assert desk.run() == 9
    assert "take it from a backup" in capsys.readouterr().err


def test_systemd_finds_no_fault_in_the_unit(desk: Desk) -> None:
    """With a program that exists in the place of mosquitto."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    desk.new()
    unit = desk.kit / "broker/fedfin-broker.service"
    text = unit.read_text()
    (line,) = [each for each in text.splitlines() if each.startswith("ExecStart=")]
    program = line.removeprefix("ExecStart=").split(" ")[0]
    unit.write_text(text.replace(program, sys.executable).replace("User=mosquitto", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_nftables_takes_the_rules_of_the_page(tmp_path: Path) -> None:
    """Checked, not set."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed (apt-get install nftables)")
    (tmp_path / "rules").write_text(page.nftables(8883))
    done = subprocess.run(
        ["nft", "-c", "-f", tmp_path / "rules"], capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("nft needs root to check rules")
    assert done.returncode == 0, done.stderr


def test_an_address_to_listen_on_is_kept_for_the_next_runs(desk: Desk) -> None:
    """Until it is taken back; the configuration says that a line changed by hand is not kept."""
    conf = desk.kit / "broker/mosquitto.conf"
    desk.new("--listen", "10.0.0.7")
    assert "\nlistener 8883 10.0.0.7\n" in conf.read_text()
    assert "The next run writes this file anew" in conf.read_text().splitlines()[1]
    assert desk.run() == 0
    assert "\nlistener 8883 10.0.0.7\n" in conf.read_text()
    assert desk.run("--listen", "") == 0
    assert "\nlistener 8883\n" in conf.read_text()


def test_2_1_has_no_deprecated_line() -> None:
    """And 2.0 none that it does not know."""

    def keys(version: str) -> set[str]:
        settings = KitSettings(federation="chest", hosts=("broker.example",), mosquitto=version)
        return {
            line.split(" ")[0]
            for line in mosquitto_conf.text(settings).splitlines()
            if line[:1] not in {"#", ""}
        }

    assert not keys("2.1") & {"acl_file", "password_file", "per_listener_settings"}
    only_new = {"plugin", "plugin_opt_acl_file", "accept_protocol_versions", "listener_allow_anonymous"}
    assert keys("2.1") - keys("2.0") == only_new | {"global_max_clients"}
