"""The kit's own certificate authority, in a folder: `ca.key`, `ca.pem` and `issued.json`.

Whoever has `ca.key` can be anybody at the broker. It is needed only to sign and to revoke: keep the kit off the
broker's machine, in a place with a backup.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from fedfin.broker.kit import certificates
from fedfin.broker.kit.issued import Issued, IssuedList
from fedfin.errors import SettingsError, StateError
from fedfin.files import make_folder, write_atomically
from fedfin.trust.certificate_requests import common_name, key_pem, make_key


class Authority:
    """Made by the first use, in `folder`. Raises StateError when its files are damaged."""

    def __init__(self, folder: Path, federation: str, days: int) -> None:
        make_folder(folder)
        folder.chmod(0o700)
        self._folder = folder
        self._key = self._load_key() if (folder / "ca.key").exists() else self._make(federation, days)
        ca = certificates.read(folder / "ca.pem")
        if ca is None or not certificates.same_key(ca.public_key(), self._key.public_key()):
            raise StateError(
                f"{folder}: ca.key and ca.pem do not belong together; take both from a backup, or make a new kit"
            )
        self.ca = ca
        self.issued = IssuedList(folder / "issued.json")

    def certify(
        self, name: str, request: x509.CertificateSigningRequest, hosts: tuple[str, ...], days: int
    ) -> x509.Certificate:
        """Sign; of the request only the key is taken. `hosts`: of a server; none: a client's certificate.

        Raises SettingsError when the CA itself ends sooner.
        """
        start, end = self._validity(days)
        certificate = self._builder(name, request.public_key(), start, end, hosts).sign(
            self._key, hashes.SHA256()
        )
        self.issued.add(Issued(name, f"{certificate.serial_number:x}", int(end.timestamp())))
        return certificate

    def revoke(self, name: str) -> None:
        """All of its certificates. Raises SettingsError when there is none."""
        if not self.issued.revoke(name, int(certificates.now().timestamp())):
            raise SettingsError(f"--revoke {name}: it has no valid certificate; `--list` shows who has")

    def shut_out(self) -> list[str]:
        """Who was revoked and has no new certificate."""
        return self.issued.shut_out(int(certificates.now().timestamp()))

    def revocation_list(self) -> bytes:
        """PEM. It ends with the CA: a list that has ended makes mosquitto refuse everybody."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.ca.subject)
        builder = builder.last_update(certificates.now()).next_update(self.ca.not_valid_after_utc)
        for each in self.issued.revoked():
            at = datetime.fromtimestamp(each.revoked or 0, timezone.utc)
            entry = x509.RevokedCertificateBuilder().serial_number(int(each.serial, 16)).revocation_date(at)
            builder = builder.add_revoked_certificate(entry.build())
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        number = x509.CRLNumber(int(certificates.now().timestamp()))  # it must grow, RFC 5280 section 5.2.3
        builder = builder.add_extension(key_id, critical=False).add_extension(number, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _validity(self, days: int) -> tuple[datetime, datetime]:
        start = certificates.now() - certificates.BACKDATED
        end = certificates.now() + timedelta(days=days)
        if end > self.ca.not_valid_after_utc:
            raise SettingsError(
                f"{self._folder / 'ca.pem'} ends in {certificates.days_left(self.ca)} days, before a certificate of"
                f" --days {days} would; give fewer days, or make a new kit"
            )
        return start, end

    def _builder(
        self,
        name: str,
        key: CertificatePublicKeyTypes,
        start: datetime,
        end: datetime,
        hosts: tuple[str, ...],
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(
            self.ca.subject, common_name(name), key, x509.random_serial_number(), start, end
        )
        for extension, critical in certificates.profile(hosts):
            builder = builder.add_extension(extension, critical=critical)
        own = x509.SubjectKeyIdentifier.from_public_key(key)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(own, critical=False).add_extension(issuer, critical=False)

    def _load_key(self) -> ec.EllipticCurvePrivateKey:
        return certificates.read_key(self._folder / "ca.key", "the CA's key", "take it from a backup")

    def _make(self, federation: str, days: int) -> ec.EllipticCurvePrivateKey:
        key, name = make_key(), common_name(f"FedFIN broker CA of {federation}")
        start = certificates.now() - certificates.BACKDATED
        end = certificates.now() + timedelta(days=days)
        builder = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), start, end
        )
        for extension, critical in (
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (certificates.key_usage(signs=True), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        # The certificate first: a run that dies in between leaves no key, so the next one begins again.
        write_atomically(self._folder / "ca.pem", certificates.pem(builder.sign(key, hashes.SHA256())))
        write_atomically(self._folder / "ca.key", key_pem(key))
        return key
