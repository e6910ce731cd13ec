"""TLS to the broker: from files to a context, and from failures to words that name the remedy.

The broker's certificate and host name are verified always; there is no option to leave that out. TLS 1.2 is the
least that is spoken, 1.3 is taken where both ends have it.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fedfin.errors import SettingsError

# OpenSSL's verification results (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = {18, 19, 20, 21}
_OTHER_NAME = {62, 64}

# What a broker's TLS alerts say about our side, by a part of OpenSSL's name for them.
_ALERTS = {
    "ALERT_CERTIFICATE_REQUIRED": "the broker wants a client certificate; give one with --certificate and --key"
    " (`certificate` and `key` in site.toml)",
    "ALERT_CERTIFICATE_EXPIRED": "the broker says that our client certificate has expired; have it renewed",
    "ALERT_CERTIFICATE_REVOKED": "the broker says that our client certificate was revoked; ask for a new one",
    "ALERT_UNKNOWN_CA": "the broker does not know the CA that signed our client certificate; ask its operator",
    "ALERT_BAD_CERTIFICATE": "the broker refuses our client certificate; ask its operator",
    "ALERT_UNSUPPORTED_CERTIFICATE": "the broker refuses our client certificate's type; ask its operator",
    "ALERT_HANDSHAKE_FAILURE": "the broker refuses the TLS handshake; it may want a client certificate",
    "ALERT_PROTOCOL_VERSION": "the broker speaks only TLS before 1.2; its operator must update it",
    "UNSUPPORTED_PROTOCOL": "the broker speaks only TLS before 1.2; its operator must update it",
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS; is it the port for mqtt:// (without s)?",
    "UNEXPECTED_EOF": "the broker ended the TLS handshake; it may want a client certificate",
    # Who sends at once after the handshake of TLS 1.3 may meet the closed connection before the alert that says why.
    "EOF_OCCURRED": "the broker ended the TLS connection; it may want a client certificate, or refuse ours",
}


@dataclass(frozen=True)
class Tls:
    """PEM files. `ca` None: the CAs that this machine trusts. `certificate` and `key`: ours, where a broker asks."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files. Raises SettingsError, naming the file and the remedy."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca is None:
            context.load_default_certs()
        else:
            _load_ca(context, self.ca)
        if (self.certificate is None) != (self.key is None):
            raise SettingsError("tls: `certificate` and `key` belong together; give both or neither")
        if self.certificate is not None and self.key is not None:
            _load_pair(context, self.certificate, self.key)
        return context

    def explain(self, error: ssl.SSLError) -> str:
        """Why the connection failed, and what to do about it."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._of_certificate(error)
        reason = error.reason or str(error)
        for part, words in _ALERTS.items():
            if part in reason.upper().replace(" ", "_"):
                return words
        return f"TLS failed: {reason}"

    @staticmethod
    def is_revocation(error: Exception) -> bool:
        """Whether the broker says that our certificate was revoked: it will not take it back."""
        return isinstance(error, ssl.SSLError) and "ALERT_CERTIFICATE_REVOKED" in (error.reason or "")

    def _of_certificate(self, error: ssl.SSLCertVerificationError) -> str:
        if error.verify_code in {_EXPIRED, _NOT_YET_VALID}:
            when = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
            return f"the broker's certificate {when}; its operator must renew it, or this machine's clock is wrong"
        if error.verify_code in _OTHER_NAME:
            return (
                f"the broker's certificate is for another host ({error.verify_message}); write the name that it"
                " was issued for into the broker URL, or have it issued for this one"
            )
        if error.verify_code in _UNKNOWN_ISSUER:
            trusted = "this machine trusts" if self.ca is None else f"{self.ca} holds"
            return (
                f"the broker's certificate was not signed by a CA that {trusted}; give its CA's file with --ca (`ca` in"
                " site.toml)"
            )
        return f"the broker's certificate is not valid: {error.verify_message}"


def _load_ca(context: ssl.SSLContext, path: Path) -> None:
    _check_readable(path, "the CA file")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise SettingsError(f"{path}: holds no CA certificate in PEM; ask the broker's operator") from None


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _check_readable(certificate, "the client certificate")
    _check_readable(key, "the client key")

    def refuse() -> NoReturn:  # without it OpenSSL would wait for a password on the terminal
        raise SettingsError(
            f"{key}: the key is encrypted; give one without a pass phrase, readable by us only"
        )

    try:
        context.load_cert_chain(certificate, key, refuse)
    except ssl.SSLError as error:
        why = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "are not both PEM files"
        raise SettingsError(f"{certificate} and {key}: {why}; ask for the pair again") from None


def _check_readable(path: Path, what: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot read {what} ({error.strerror}); correct its path or permissions"
        ) from None
