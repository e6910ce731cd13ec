"""What the broker's operator made for others to pass on: the folder of `fedfin broker kit`, without its ca/ perhaps."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from fedfin.broker.kit import certificates
from fedfin.broker.kit.issued import IssuedList
from fedfin.broker.kit.parties import AGGREGATOR, certificate_of
from fedfin.broker.kit.settings import SETTINGS, KitSettings
from fedfin.errors import SettingsError
from fedfin.settings import read_toml
from fedfin.trust import certificate_requests, signed_text
from fedfin.trust.identity import BROKER, read_key
from fedfin.trust.request import Request

ANY_BROKER = "mqtts://HOST"


def authority(kit: Path) -> str:
    """Who signed the broker's certificate, in PEM. Raises SettingsError."""
    return signed_text.read_text(kit / "ca.pem", "the broker's CA")


def broker_url(kit: Path) -> str:
    """Where its broker listens; with HOST where the folder does not say. Raises SettingsError."""
    path = kit / SETTINGS
    return read_toml(path, KitSettings, what="kit").url if path.exists() else ANY_BROKER


def site_certificate(kit: Path, request: Request) -> str:
    """A site's, in PEM, for the key of its request. Raises SettingsError, which says whether the site was revoked."""
    name = request.name
    path = certificate_of(kit, name)
    if not path.exists():
        issued = IssuedList(kit / "ca" / "issued.json")
        revoked = name in issued.shut_out(int(certificates.now().timestamp()))
        why = f"{name} was revoked" if revoked else f"the kit has no certificate of {name}, or it was revoked"
        option = "" if revoked else "--requests FOLDER, or "
        raise SettingsError(
            f"{path} is not there: {why}; `fedfin broker kit --out {kit} {option}--renew {name}`, or admit without it"
        )
    text = signed_text.read_text(path, "a site's certificate")
    certificate = certificates.read(path)
    asked = certificate_requests.public_key(request.certificate_request, name)
    if certificate is None or not certificates.same_key(certificate.public_key(), asked):
        raise SettingsError(
            f"{path} is for another key than {name}'s request, so the broker would refuse it; put that request into"
            f" FOLDER, and `fedfin broker kit --out {kit} --requests FOLDER --renew {name}`; or admit without --kit"
        )
    return text


def aggregator_certificate(kit: Path, trust: Path) -> str:
    """The aggregator's, in PEM, for the key of its `trust` folder. Raises SettingsError, StateError."""
    path, key = certificate_of(kit, AGGREGATOR), trust / BROKER
    text = signed_text.read_text(path, "the aggregator's certificate")
    certificate, own = certificates.read(path), read_key(key)
    if not _belong_together(certificate, own):
        raise SettingsError(
            f"{path} is for another key than {key}, so the broker would refuse it; send the broker's operator a new"
            f" request (`fedfin aggregator request`), for `fedfin broker kit --out {kit} --renew {AGGREGATOR}`;"
            " or accept without --kit"
        )
    return text


def _belong_together(certificate: x509.Certificate | None, key: object) -> bool:
    return (
        certificate is not None
        and isinstance(key, EllipticCurvePrivateKey)
        and certificates.same_key(certificate.public_key(), key.public_key())
    )
