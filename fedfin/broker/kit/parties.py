"""Who has a certificate: the broker, the aggregator, its shards, the sites. A certificate's name is who somebody is."""

import re
from pathlib import Path

from fedfin.errors import SettingsError
from fedfin.files import why
from fedfin.names import NAME

BROKER = "broker"
AGGREGATOR = "aggregator"
_SHARD = re.compile(r"shard-\d{1,4}")


def shard_name(index: int) -> str:
    """The name in the certificate of shard `index`; on topics it is shard/{index}."""
    return f"shard-{index}"


def is_site(name: str) -> bool:
    """Else it names a part of FedFIN itself."""
    return name not in {BROKER, AGGREGATOR} and not _SHARD.fullmatch(name)


def certificate_of(kit: Path, name: str) -> Path:
    """Where the kit keeps a client's certificate."""
    return (kit / "sites" if is_site(name) else kit) / f"{name}.pem"


def check_site(name: str, where: str) -> None:
    """Refuse what cannot be a site's name, or is another party's. Raises SettingsError."""
    if not re.fullmatch(NAME, name):
        raise SettingsError(
            f"{where}: {name!r} cannot be a site's name; 1 to 64 of a-z, 0-9, - and _, the first and last a letter"
            " or digit"
        )
    if not is_site(name):
        raise SettingsError(f"{where}: {name!r} is not free for a site: it names a part of FedFIN itself")


def read_sites(path: Path) -> tuple[str, ...]:
    """The site names of a file, one a line; what follows a # is a comment. Raises SettingsError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path}: cannot read the list of sites ({why(error)}); one site's name a line, as UTF-8 text"
        ) from None
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        if name := line.partition("#")[0].strip():
            check_site(name, f"{path}, line {number}")
            names.append(name)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{path}: site {twice[0]!r} is named twice; remove one")
    return tuple(names)
