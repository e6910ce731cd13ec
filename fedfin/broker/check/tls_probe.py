"""TLS: version, the broker's certificate, and whether it takes ours."""

import ssl
from collections.abc import Iterator

from cryptography import x509

from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.own_certificate import not_yet_valid
from fedfin.broker.check.target import Target
from fedfin.broker.kit import certificates
from fedfin.link.dial import reach
from fedfin.link.tls import Tls

# In TLS 1.3 a client's certificate is judged after the handshake; whoever is refused hears it within a round trip.
REFUSAL_S = 1.0
_NOT_YET_VALID, _EXPIRED = 9, 10  # OpenSSL's verification results (x509_vfy.h)
_OTHER_NAME = {62, 64}
_COMES_LATER = (
    "it comes with `fedfin edge accept`, if the coordinator has the kit; otherwise name it in site.toml"
)


def tls(target: Target) -> Iterator[Finding]:
    """One handshake as the link does it; where it fails, one more that trusts anybody, to see whom it shows."""
    if not target.broker.tls:
        yield warn(
            "tls",
            f"{target.url.partition(':')[0]}:// is in the clear: who listens reads and changes everything",
            "use mqtts:// or wss:// with a certificate",
        )
        return
    files = target.tls or Tls()
    try:
        with _handshake(target, files.context()) as connection:
            yield from _shown(connection, target)
            yield _taken(connection, files, target)
    except ssl.SSLCertVerificationError as error:
        yield _not_trusted(error, target, _certificate_of(target, files))
    except (ssl.SSLError, OSError) as error:
        yield _no_tls(error, files)


def _handshake(target: Target, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(reach(target.broker, target.way), server_hostname=target.broker.host)


def _shown(connection: ssl.SSLSocket, target: Target) -> Iterator[Finding]:
    version, der = connection.version(), connection.getpeercert(binary_form=True)
    if version == "TLSv1.3":
        yield passed("tls", version)
    else:
        remedy = (
            "have the broker speak TLS 1.3 (mosquitto: `tls_version tlsv1.3`; nginx: `ssl_protocols TLSv1.3`)"
        )
        yield warn("tls", f"the broker speaks {version}, which shows certificates to who listens", remedy)
    if (certificate := _parsed(der)) is not None:
        yield _ends(certificate, target)


def _ends(certificate: x509.Certificate, target: Target) -> Finding:
    end, days = f"{certificate.not_valid_after_utc:%Y-%m-%d}", certificates.days_left(certificate)
    if days < certificates.SOON_DAYS:
        remedy = (
            "its operator should renew it (if the kit made it: `fedfin broker kit --renew broker`)"
            if target.broker.path is None
            else "it is the web server's: whoever runs that should renew it"
        )
        return warn("broker certificate", f"it ends on {end}, in {days} days", remedy)
    return passed("broker certificate", f"trusted, of this host, until {end}")


def _taken(connection: ssl.SSLSocket, files: Tls, target: Target) -> Finding:
    """A broker says nothing before we do, unless it refuses us."""
    connection.settimeout(REFUSAL_S)
    try:
        connection.recv(1)
    except TimeoutError:
        with_ours = "takes our certificate" if target.certificate else "asks for no certificate"
        return passed("client certificate", f"the broker {with_ours}")
    except ssl.SSLError as error:
        return _refused(files.explain(error), target)
    except OSError as error:
        return _refused(f"the broker ended the connection ({error.strerror})", target)
    return _refused("the broker ended the connection", target)


def _refused(words: str, target: Target) -> Finding:
    says, _, remedy = words.partition("; ")
    if target.unadmitted:
        remedy = f"give ours: {_COMES_LATER}"
    elif not target.certificate:
        remedy = "give the certificate that you have from the operator, with --certificate and --key"
    return fail("client certificate", says, remedy or "ask the broker's operator for a certificate")


def _certificate_of(target: Target, files: Tls) -> x509.Certificate | None:
    """Whatever certificate the broker shows; nothing is sent to it."""
    context = files.context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _handshake(target, context) as connection:
            return _parsed(connection.getpeercert(binary_form=True))
    except OSError:
        return None


def _parsed(der: bytes | None) -> x509.Certificate | None:
    """None for one that OpenSSL reads and cryptography does not: it is stricter."""
    try:
        return x509.load_der_x509_certificate(der) if der else None
    except ValueError:
        return None


def _not_trusted(
    error: ssl.SSLCertVerificationError, target: Target, certificate: x509.Certificate | None
) -> Finding:
    says, _, remedy = (target.tls or Tls()).explain(error).partition("; ")
    if certificate is None:
        return fail("broker certificate", says, remedy)
    if error.verify_code == _NOT_YET_VALID:
        return not_yet_valid("the broker's certificate", certificate, "its operator must renew it")
    if error.verify_code == _EXPIRED:
        end = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        return fail("broker certificate", f"the broker's certificate ended on {end}", remedy)
    if error.verify_code in _OTHER_NAME:
        return fail(
            "host name", f"the certificate is for {', '.join(certificates.hosts_of(certificate))}", remedy
        )
    if target.unadmitted:
        remedy = f"give its CA's: {_COMES_LATER}"
    return fail("broker certificate", f"{says} (its issuer: {certificate.issuer.rfc4514_string()})", remedy)


def _no_tls(error: OSError, files: Tls) -> Finding:
    if isinstance(error, ssl.SSLError):
        says, _, remedy = files.explain(error).partition("; ")
    else:
        says, remedy = f"the connection broke in the handshake ({error.strerror or error})", ""
    return fail(
        "tls", says, remedy or "if this port is the one for mqtt://, leave out the s; or correct the port"
    )
