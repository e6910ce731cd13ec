"""The intake's servers over TLS: a caller needs a certificate of the CA that site.toml names."""

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest
from intake_kit import RULE, make_site, open_service, oru, studies, two_ports
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from benchmarks.transport.certificates import Authority
from fedfin.demo.processes import wait_for_port
from fedfin.errors import SettingsError
from fedfin_edge.intake.sources import servers
from fedfin_edge.site import open_site

(ONE,) = studies(1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The hospital's CA."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return Authority(tmp_path_factory.mktemp("pki") / "ours")


@pytest.fixture
def site(tmp_path, bundles, authority):
    """Both servers over TLS."""
    dicom, hl7 = two_ports()
    pair = authority.issue("server", hosts=("DNS:localhost",))
    tls = f'certificate = "{pair.certificate}"\nkey = "{pair.key}"\nca = "{authority.ca}"\n'
    return make_site(
        tmp_path / "site",
        bundles,
        f"{RULE}\n[intake.hl7]\nport = {hl7}\n{tls}\n[intake.dicom]\nport = {dicom}\n{tls}",
    )


@pytest.fixture
def listening(site):
    """The servers."""
    with open_service(site) as service:
        dicom, hl7 = servers(site, service._folder, service._reception, service._report).values()
        with dicom, hl7:
            yield site.settings.intake


def client(authority, *, certificate: bool):
    """What a caller trusts, and who it is."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    if certificate:
        pair = authority.issue("caller")
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def test_a_caller_with_a_certificate_is_answered(listening, authority):
    context = client(authority, certificate=True)
    assert b"MSA|AA|" in ask(listening.hl7.port, context)
    assert echo(listening.dicom.port, context)


def test_callers_that_connect_and_say_nothing_hold_up_nobody(listening, authority):
    with contextlib.ExitStack() as silent:
        for port in (listening.dicom.port, listening.hl7.port):
            silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        context = client(authority, certificate=True)
        assert b"MSA|AA|" in ask(listening.hl7.port, context)
        assert echo(listening.dicom.port, context)


def test_callers_that_shake_no_hands_hold_up_no_end(site):
    words = ["-m", "fedfin", "edge", "intake", str(site.folder), "--json", "--processes", "0"]
    ports = (site.settings.intake.dicom.port, site.settings.intake.hl7.port)
    with (
        subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL) as service,
        contextlib.ExitStack() as silent,
    ):
        try:
            for port in ports:
                wait_for_port("127.0.0.1", port, 30)
                silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            time.sleep(0.5)  # until it waits for their hands
            service.send_signal(signal.SIGTERM)
            assert service.wait(10) == 130
        finally:
            service.kill()


def echo(port, context) -> bool:
    """Whether C-ECHO is answered with success."""
    entity = AE(ae_title="PACS")
    entity.add_requested_context(Verification)
    association = entity.associate(
        "127.0.0.1", port, ae_title="FEDFIN", tls_args=context and (context, "localhost")
    )
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return status.Status == 0


def test_a_caller_without_a_certificate_is_not_answered(listening, authority):
    context = client(authority, certificate=False)
    assert not echo(listening.dicom.port, context)
    with pytest.raises((OSError, AssertionError)):
        assert ask(listening.hl7.port, context)


def ask(port, context) -> bytes:
    """The answer to a report; b"" when the connection is ended without one."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"\x0b" + oru(ONE, "clear", minute=1) + b"\x1c\r")
        return connection.recv(1 << 16)


def test_a_key_of_another_certificate_is_named(site, authority):
    other = authority.issue("other")
    settings = site.folder / "site.toml"
    text = settings.read_text()
    certificate = text.partition('certificate = "')[2].partition('"')[0]
    settings.write_text(text.replace(certificate, str(other.certificate)))
    site = open_site(site.folder)
    with open_service(site) as service, pytest.raises(SettingsError, match="KEY_VALUES_MISMATCH"):
        servers(site, service._folder, service._reception, service._report)
