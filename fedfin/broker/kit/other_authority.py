"""A CA that is there already: requests go to it in `to-sign/`, its answers come back in `signed/`."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from fedfin.broker.kit import certificates
from fedfin.errors import SettingsError
from fedfin.files import make_folder, write_atomically
from fedfin.trust.certificate_requests import name_of


class OtherAuthority:
    """`signed/` takes ca.pem, NAME.pem for each request, and crl.pem."""

    def __init__(self, folder: Path) -> None:
        self._to_sign, self._signed = folder / "to-sign", folder / "signed"
        make_folder(self._to_sign)
        make_folder(self._signed)
        self.ca = certificates.read(self._signed / "ca.pem")

    def certify(
        self, name: str, request: x509.CertificateSigningRequest, hosts: tuple[str, ...]
    ) -> x509.Certificate | None:
        """The CA's answer, or None while there is none. Raises SettingsError for one that will not do."""
        path = self._signed / f"{name}.pem"
        if (certificate := certificates.read(path)) is None or self.ca is None:
            form = serialization.Encoding.PEM
            write_atomically(self._to_sign / f"{name}.csr", request.public_bytes(form))
            return None
        if problem := self._problem(name, certificate, request, hosts):
            raise SettingsError(f"{path}: {problem}; have it signed again")
        (self._to_sign / f"{name}.csr").unlink(missing_ok=True)
        return certificate

    def revocation_list(self) -> bytes | None:
        """The CA's, if it gave one."""
        path = self._signed / "crl.pem"
        return path.read_bytes() if path.exists() else None

    def _problem(
        self,
        name: str,
        certificate: x509.Certificate,
        request: x509.CertificateSigningRequest,
        hosts: tuple[str, ...],
    ) -> str:
        """Why the answer will not do, or nothing."""
        assert self.ca is not None
        if not certificates.same_key(certificate.public_key(), request.public_key()):
            return "the certificate is for another key than the request"
        if name_of(certificate.subject) != name and not hosts:
            return f"its common name must be {name!r}: the broker knows who somebody is by it"
        wanted = certificates.listed(certificates.alternative_names(hosts))
        if missing := set(wanted) - set(certificates.hosts_of(certificate)):
            return f"it is not for host {min(missing)!r} (subjectAltName)"
        try:
            certificate.verify_directly_issued_by(self.ca)
        except (ValueError, TypeError, InvalidSignature):
            return f"it is not signed by the CA of {self._signed / 'ca.pem'}"
        return ""
