"""Files that only their owner should read: keys and passwords."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, passed, warn
from fedfin.trust.identity import BROKER, SEALING, SIGNING
from fedfin_edge.site import Site

_OTHERS = 0o077


def secrets(site: Site) -> Iterator[Finding]:
    """Their rights, by the files that site.toml names and the folder holds."""
    there = [path for path in secret_files(site) if path.exists()]
    if open_to_others := [path for path in there if path.stat().st_mode & _OTHERS]:
        names = " ".join(shlex.quote(str(path)) for path in open_to_others)
        yield warn("secrets", f"others on this machine may read {names}", f"chmod go-rwx {names}")
    else:
        yield passed("secrets", f"{len(there)} files of keys and passwords, for their owner alone")


def secret_files(site: Site) -> list[Path]:
    """All that there may be."""
    settings = site.settings
    named = [
        settings.tls.key if settings.tls else None,
        settings.login.password_file if settings.login else None,
        settings.proxy.password_file if settings.proxy else None,
    ]
    keys = [site.trust_path / name for name in (SIGNING, SEALING, BROKER)]
    return [*keys, *(site.folder / name for name in named if name is not None)]
