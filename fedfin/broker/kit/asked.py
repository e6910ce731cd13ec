"""The requests that have come, each with the fingerprint that who sent it sees.

`fedfin edge request` shows the fingerprint of the party's two keys. One of them signs the whole file, so it vouches for
the certificate request in it, once that signature is checked. A plain request has the fingerprint of its own key.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fedfin.errors import SettingsError
from fedfin.trust.certificate_requests import MOST_BYTES, read_requests
from fedfin.trust.identity import fingerprint
from fedfin.trust.request import read_request


@dataclass(frozen=True)
class Asked:
    """`request`: what is signed; `fingerprint`: for people to compare by telephone before they pass it on."""

    request: x509.CertificateSigningRequest
    fingerprint: str


def read_asked(folder: Path) -> dict[str, Asked]:
    """The requests in a folder by name. Raises SettingsError for one that cannot be signed, or was changed."""
    return {
        name: Asked(request, _fingerprint(name, path, request))
        for name, (path, request) in read_requests(folder).items()
    }


def _fingerprint(name: str, path: Path, request: x509.CertificateSigningRequest) -> str:
    if not _is_fedfins(path):
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return fingerprint(request.public_key().public_bytes(*form))
    signed = read_request(path)
    if signed.name != name:
        raise SettingsError(
            f"{path}: {signed.name!r} asks for a certificate of {name!r}; ask for the request again"
        )
    return signed.keys.fingerprint


def _is_fedfins(path: Path) -> bool:
    """Who takes this mark out of a file on its way makes it a plain request, with another fingerprint."""
    with path.open("rb") as stream:
        return b'"fedfin request' in stream.read(MOST_BYTES)
