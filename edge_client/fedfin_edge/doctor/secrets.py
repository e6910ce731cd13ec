"""Files that only their owner should read: keys and passwords."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fedfin.broker.check.finding import Finding, passed, warn
from fedfin.trust.identity import BROKER, SEALING, SIGNING
from fedfin_edge.intake.identity import KEY
from fedfin_edge.site import Site

_OTHERS = 0o077
_NAMES = frozenset({"key", "password_file", "token_file"})


def secrets(site: Site) -> Iterator[Finding]:
    """Their rights, by the files that site.toml names and the folder holds."""
    there = [path for path in secret_files(site) if path.exists()]
    if open_to_others := [path for path in there if path.stat().st_mode & _OTHERS]:
        names = " ".join(shlex.quote(str(path)) for path in open_to_others)
        yield warn("secrets", f"others on this machine may read {names}", f"chmod go-rwx {names}")
    else:
        yield passed("secrets", f"{len(there)} files of keys and passwords, for their owner alone")


def secret_files(site: Site) -> list[Path]:
    """All that there may be: this site's keys, and what any section of site.toml names."""
    keys = [site.trust_path / name for name in (SIGNING, SEALING, BROKER)] + [site.intake_path / KEY]
    return [*keys, *(site.folder / name for name in _named(msgspec.to_builtins(site.settings)))]


def _named(value: Any) -> Iterator[str]:
    for key, each in value.items() if isinstance(value, dict) else ():
        if key in _NAMES and isinstance(each, str):
            yield each
        yield from _named(each)
