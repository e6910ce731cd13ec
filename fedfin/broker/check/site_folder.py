"""What a site's settings say of the broker; the rest of site.toml is the edge client's."""

from pathlib import Path

import msgspec

from fedfin.broker.check.target import Target
from fedfin.errors import SettingsError
from fedfin.link.login import Login
from fedfin.link.proxy import choose
from fedfin.link.tls import Tls
from fedfin.names import Name
from fedfin.settings import read_toml
from fedfin.trust.accepted import TRUST, admitted_tls

SETTINGS = "site.toml"


class _Tls(msgspec.Struct):
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class _Login(msgspec.Struct):
    user: str
    password_file: str | None = None


class _Proxy(msgspec.Struct):
    url: str
    user: str | None = None
    password_file: str | None = None


class _Access(msgspec.Struct):
    site: Name
    federation: Name
    broker: str
    tls: _Tls | None = None
    login: _Login | None = None
    proxy: _Proxy | None = None


def read_site_folder(folder: Path) -> Target:
    """Paths in site.toml start at its folder; a certificate that came with the admission counts, too.

    Raises SettingsError.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder}: there is no such site folder; make one with `fedfin edge init`")
    found = read_toml(folder / SETTINGS, _Access, what="site settings")

    def place(name: str | None) -> Path | None:
        return None if name is None else folder / name

    files = found.tls or _Tls()
    named = Tls(place(files.ca), place(files.certificate), place(files.key))
    tls = named if found.tls else admitted_tls(folder / TRUST)
    login = Login(found.login.user, place(found.login.password_file)) if found.login else None
    way = found.proxy
    return Target(
        found.broker,
        tls,
        login,
        choose(way.url, way.user, place(way.password_file)) if way else None,
        federation=found.federation,
        claimed=found.site,
        unadmitted=tls is None,
    )
