"""HTTP to the hospital's own servers: with who we are there, and without the environment's proxies."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from fedfin.errors import LinkError, SettingsError
from fedfin.files import why
from fedfin_edge.intake_settings import Web

# Their logs quote addresses, which name studies and patients.
for _name in ("requests", "urllib3", "dicomweb_client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

TIMEOUT_S = 60.0


def open_session(settings: Web, folder: Path) -> requests.Session:
    """Paths start at `folder`. Raises SettingsError when a file cannot be read."""
    session = requests.Session()
    session.trust_env = False
    if settings.ca is not None:
        session.verify = _authority(folder / settings.ca)
    if settings.token_file is not None:
        session.headers["Authorization"] = f"Bearer {_secret(folder / settings.token_file)}"
    elif settings.user is not None and settings.password_file is not None:
        session.auth = (settings.user, _secret(folder / settings.password_file))
    return session


def _authority(path: Path) -> str:
    """The file of a CA. Without this look requests names it only at each poll, by an error of no kind of its own."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot read this CA ({why(error)}); correct its path or permissions"
        ) from None
    return str(path)


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path}: cannot read it ({why(error)}); correct its path or permissions"
        ) from None


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Failures as LinkError, with the server's address of site.toml and no other: the rest may name patients."""
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "an error"
        raise LinkError(f"{url}: answers {code}; look in its log, and check user and rights there") from None
    except requests.exceptions.InvalidJSONError:
        raise LinkError(f"{url}: answers with something else than JSON; correct `url` in site.toml") from None
    except requests.exceptions.SSLError:
        raise LinkError(
            f"{url}: its certificate is not trusted; name its CA with `ca` in site.toml"
        ) from None
    except requests.RequestException as error:
        raise LinkError(
            f"{url}: cannot be reached ({type(error).__name__}); check address and network"
        ) from None
