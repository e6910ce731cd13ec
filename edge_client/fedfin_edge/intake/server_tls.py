"""TLS of the intake's own servers, from the files that site.toml names."""

import ssl
from pathlib import Path
from typing import NoReturn

from fedfin.errors import SettingsError
from fedfin_edge.intake_settings import Listener


def server_context(listener: Listener, folder: Path) -> ssl.SSLContext | None:
    """TLS 1.2 or newer; None where the listener names no certificate. Paths start at `folder`.

    With `ca` a caller needs a certificate that it signed. Raises SettingsError, naming the files.
    """
    if listener.certificate is None or listener.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        load_own(context, listener, folder)
        if listener.ca is not None:
            context.load_verify_locations(folder / listener.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(
            str(folder / name) for name in (listener.certificate, listener.key, listener.ca) if name
        )
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(
            f"cannot use the TLS files of the intake ({reason}): {files}; each must be PEM, readable by us, and the key"
            " that of the certificate"
        ) from None
    return context


def load_own(context: ssl.SSLContext, listener: Listener, folder: Path) -> None:
    """The listener's certificate, if it has one. Raises OSError, and SettingsError for a key with a pass phrase."""
    if listener.certificate is None or listener.key is None:
        return
    certificate, key = folder / listener.certificate, folder / listener.key

    def refuse() -> NoReturn:  # without it OpenSSL would wait for a password on the terminal
        raise SettingsError(
            f"{key}: the key is encrypted; give one without a pass phrase, readable by us only"
        )

    context.load_cert_chain(certificate, key, refuse)
