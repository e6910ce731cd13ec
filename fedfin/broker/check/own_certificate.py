"""This machine's clock and our own certificate: what can be known before anything is sent."""

from collections.abc import Iterator

from cryptography import x509

from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.target import Target
from fedfin.broker.kit import certificates

SET_THE_CLOCK = "if that is not the time, set this machine's clock (`timedatectl`)"


def own_certificate(target: Target) -> Iterator[Finding]:
    """Clock, and our certificate's validity and name."""
    certificate = target.certificate
    if certificate is not None and certificate.not_valid_before_utc > certificates.now():
        yield not_yet_valid("our certificate", certificate, "wait until then, or ask for a new one")
        return
    yield passed("clock", f"this machine says {certificates.now():%Y-%m-%d %H:%M} UTC")
    if certificate is not None:
        yield _validity(certificate)
        yield from _name(target)


def not_yet_valid(whose: str, certificate: x509.Certificate, otherwise: str) -> Finding:
    """A certificate whose time has not come: nearly always a clock that is behind."""
    says = (
        f"{whose} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and this machine's clock says"
        f" {certificates.now():%Y-%m-%d %H:%M} UTC"
    )
    return fail("clock", says, f"{SET_THE_CLOCK}; otherwise {otherwise}")


def _validity(certificate: x509.Certificate) -> Finding:
    end, days = f"{certificate.not_valid_after_utc:%Y-%m-%d}", certificates.days_left(certificate)
    renew = "send the broker's operator a request, who renews it (`fedfin broker kit --renew`)"
    if certificate.not_valid_after_utc <= certificates.now():
        return fail("certificate", f"our certificate ended on {end}", renew)
    if days < certificates.SOON_DAYS:
        return warn("certificate", f"our certificate ends on {end}, in {days} days", renew)
    return passed("certificate", f"ours is valid until {end}")


def _name(target: Target) -> Iterator[Finding]:
    if target.claimed and target.certified != target.claimed:
        yield fail(
            "identity",
            f"our certificate is of {target.certified!r}, not of {target.claimed!r}",
            "give the certificate of that name, or another name with --as",
        )
