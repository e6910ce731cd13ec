"""The kit's folder.

    kit.toml      what it was made with
    README.md     the page for the operator
    ca/           the CA's key, its certificate, what it has signed; or, with another CA, to-sign/ and signed/
    broker/       goes to the broker's machine
    sites/NAME.pem, aggregator.pem, shard-0.pem ...   certificates of the clients
    ca.pem        the CA's, for all of them

A run adds what is missing and leaves what is there: certificates are made anew only for names that are to be renewed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fedfin.broker.kit import access_rules, certificates, mosquitto_conf, page, systemd_unit
from fedfin.broker.kit.asked import Asked
from fedfin.broker.kit.authority import Authority
from fedfin.broker.kit.other_authority import OtherAuthority
from fedfin.broker.kit.parties import BROKER, certificate_of
from fedfin.broker.kit.settings import KitSettings
from fedfin.errors import SettingsError
from fedfin.files import make_folder, write_atomically
from fedfin.trust.certificate_requests import key_pem, make_key, make_request

Requests = Mapping[str, Asked]


@dataclass(frozen=True)
class Standing:
    """One party's certificate. `days`: until it ends; None while there is none. `state`: in words, with the remedy.

    `fingerprint`: of the request that has come.
    """

    name: str
    days: int | None
    state: str
    fingerprint: str | None = None


class Kit:
    """One federation's, in a folder. Raises StateError or SettingsError when its files do not fit together."""

    def __init__(self, folder: Path, settings: KitSettings) -> None:
        self._folder, self._settings = folder, settings
        self._broker = folder / "broker"
        for each in (folder, self._broker, folder / "sites"):
            make_folder(each)
            each.chmod(0o700)
        ca = folder / "ca"
        self._authority: Authority | OtherAuthority = (
            OtherAuthority(ca) if settings.other_ca else Authority(ca, settings.federation, settings.ca_days)
        )

    def certify(self, requests: Requests, *, renew: Collection[str], make_keys: bool) -> None:
        """The broker, and everybody of whom there is a request; with `make_keys`, also the others."""
        self._certify_broker(anew=BROKER in renew)
        for name in self._settings.clients:
            place = self._certificate(name)
            if name not in renew and (place.exists() or name in self._shut_out()):
                continue
            if name in requests:
                self._sign(name, requests[name].request, place)
            elif make_keys:
                self._sign(name, self._request_of_a_made_key(name), place)
            elif name in renew:
                raise SettingsError(
                    f"--renew {name}: there is no request of it in the folder that --requests names"
                )

    def revoke(self, name: str) -> None:
        """Shut a client out. Raises SettingsError when it has no certificate, or another CA must do it."""
        if isinstance(self._authority, OtherAuthority):
            raise SettingsError(
                f"--revoke {name}: let the CA revoke it, put its list into {self._folder / 'ca/signed/crl.pem'},"
                " and run this again without --revoke"
            )
        self._authority.revoke(name)
        for suffix in (".pem", ".key"):
            self._certificate(name).with_suffix(suffix).unlink(missing_ok=True)

    def write(self) -> None:
        """All that the broker reads, and the page."""
        settings, revoked = self._settings, self._authority.revocation_list()
        files = {
            mosquitto_conf.CONF: mosquitto_conf.text(settings, revocations=revoked is not None),
            mosquitto_conf.ACL: access_rules.mosquitto_acl(
                settings.federation, settings.shards, self._shut_out()
            ),
            mosquitto_conf.UNIT: systemd_unit.text(settings),
        }
        for name, content in files.items():
            write_atomically(self._broker / name, content.encode())
        if revoked is not None:
            write_atomically(self._broker / mosquitto_conf.REVOKED, revoked)
        if self._authority.ca is not None:
            for place in (self._folder, self._broker):
                write_atomically(place / mosquitto_conf.CA, certificates.pem(self._authority.ca))
        write_atomically(self._folder / "README.md", page.text(settings).encode())

    def standings(self, requests: Requests) -> list[Standing]:
        """How everybody's certificate stands: the CA's, the broker's, then the clients'."""
        places = {BROKER: self._broker / mosquitto_conf.CERTIFICATE}
        places |= {name: self._certificate(name) for name in self._settings.clients}
        found = [_standing("CA", self._authority.ca, "put ca.pem into ca/signed")]
        for name, place in places.items():
            certificate = certificates.read(place)
            standing = _standing(name, certificate, self._missing(name))
            found.append(
                _with_request(standing, certificate, requests[name]) if name in requests else standing
            )
        return found

    def _shut_out(self) -> list[str]:
        return self._authority.shut_out() if isinstance(self._authority, Authority) else []

    def _missing(self, name: str) -> str:
        if name in self._shut_out():
            return f"revoked: --renew {name} lets it in again"
        if (self._folder / "ca" / "to-sign" / f"{name}.csr").exists():
            return f"waits for the CA: have ca/to-sign/{name}.csr signed, put {name}.pem into ca/signed"
        return f"waits for its request: put it into the folder that --requests names, as {name}.csr"

    def _certificate(self, name: str) -> Path:
        return certificate_of(self._folder, name)

    def _certify_broker(self, *, anew: bool) -> None:
        hosts, place = self._settings.hosts, self._broker / mosquitto_conf.CERTIFICATE
        before = certificates.read(place)
        wanted = certificates.listed(certificates.alternative_names(hosts))
        if before is not None and not anew and set(wanted) <= set(certificates.hosts_of(before)):
            return
        key = _key(self._broker / mosquitto_conf.KEY)
        request = make_request(hosts[0], key, (certificates.alternative_names(hosts),))
        self._sign(BROKER, request, place, hosts)

    def _request_of_a_made_key(self, name: str) -> x509.CertificateSigningRequest:
        return make_request(name, _key(self._certificate(name).with_suffix(".key")))

    def _sign(
        self, name: str, request: x509.CertificateSigningRequest, place: Path, hosts: tuple[str, ...] = ()
    ) -> None:
        authority = self._authority
        certificate = (
            authority.certify(hosts[0] if hosts else name, request, hosts, self._settings.days)
            if isinstance(authority, Authority)
            else authority.certify(name, request, hosts)
        )
        if certificate is None:
            return
        write_atomically(place, certificates.pem(certificate))


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a file, made now if there is none."""
    if not path.exists():
        write_atomically(path, key_pem(make_key()))
    return certificates.read_key(path, "this key", "remove it, and renew its certificate")


def _with_request(standing: Standing, certificate: x509.Certificate | None, asked: Asked) -> Standing:
    standing = replace(standing, fingerprint=asked.fingerprint)
    if certificate is None or certificates.same_key(certificate.public_key(), asked.request.public_key()):
        return standing
    state = f"its request holds another key: --renew {standing.name} if it made a new one"
    return replace(standing, state=state)


def _standing(name: str, certificate: x509.Certificate | None, missing: str) -> Standing:
    if certificate is None:
        return Standing(name, None, missing)
    days, end = certificates.days_left(certificate), f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_after_utc <= certificates.now():
        return Standing(name, days, f"ended on {end}: --renew {name}")
    if days < certificates.SOON_DAYS:
        return Standing(name, days, f"ends on {end}: --renew {name}")
    return Standing(name, days, f"valid until {end}")
