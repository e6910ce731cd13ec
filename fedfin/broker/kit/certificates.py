"""Certificates (X.509) as the kit writes and reads them."""

import ipaddress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedfin.errors import SettingsError, StateError
from fedfin.files import why

SOON_DAYS = 30  # a certificate that ends sooner is shown as one to renew
# Valid from an hour before it was signed: a site's clock may be behind.
BACKDATED = timedelta(hours=1)


def now() -> datetime:
    """The time, without fractions: certificates hold whole seconds."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def alternative_names(hosts: tuple[str, ...]) -> x509.SubjectAlternativeName:
    """Host names and addresses as a certificate lists them."""
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return listed(names)


def listed(names: x509.SubjectAlternativeName) -> tuple[str, ...]:
    """Host names, then addresses in their shortest form."""
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def profile(hosts: tuple[str, ...]) -> list[tuple[x509.ExtensionType, bool]]:
    """What a certificate may be used for, and whether that is critical: a server's at `hosts`, or a client's."""
    usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([usage]), False),
    ]
    return extensions + ([(alternative_names(hosts), False)] if hosts else [])


def key_usage(*, digital_signature: bool = False, signs: bool = False) -> x509.KeyUsage:
    """`signs`: certificates and revocation lists."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def pem(certificate: x509.Certificate) -> bytes:
    """As files hold it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def read(path: Path) -> x509.Certificate | None:
    """The first certificate of a file, or None when there is no such file. Raises SettingsError."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot read a certificate in PEM ({why(error)}); put it back, or remove the file"
        ) from None


def read_key(path: Path, what: str, remedy: str) -> ec.EllipticCurvePrivateKey:
    """A private key that the kit made. `what` it is, in words. Raises StateError, with `remedy`."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise StateError(f"{path}: cannot read {what} ({why(error)}); {remedy}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise StateError(f"{path} is not a key that the kit made; {remedy}")
    return key


def same_key(one: CertificatePublicKeyTypes, other: CertificatePublicKeyTypes) -> bool:
    """Whether two public keys are one."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return one.public_bytes(*form) == other.public_bytes(*form)


def days_left(certificate: x509.Certificate) -> int:
    """Whole days until it ends; negative when it has."""
    return (certificate.not_valid_after_utc - now()).days
