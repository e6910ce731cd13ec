"""What is installed, and what is lacking for a site to take part."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, passed
from fedfin_edge.site import Site

NEEDED = (
    "numpy",
    "onnxruntime",
    "torch",
    "paho-mqtt",
    "cryptography",
    "msgspec",
    "pillow",
    "pydicom",
    "tokenizers",
)
INTAKE = ("pynetdicom", "dicomweb-client", "hl7", "requests")


def installed() -> dict[str, str]:
    """Version by package; empty: it is not there."""
    return {name: _version(name) for name in ("fedfin", *NEEDED, *INTAKE)}


def versions(_: Path) -> Iterator[Finding]:
    """By the packages' own metadata: nothing is imported."""
    found = installed()
    if lacking := [name for name in NEEDED if not found[name]]:
        yield fail("versions", f"{', '.join(lacking)} not installed", "pip install 'fedfin[edge]'")
        return
    python = f"Python {platform.python_version()} on {platform.machine()}"
    yield passed("versions", f"{python}, {_numbered(found, 'fedfin', *NEEDED)}")


def intake_versions(site: Site) -> Iterator[Finding]:
    """What `fedfin edge intake` needs besides; nothing for a site without [intake]."""
    if site.settings.intake is None:
        return
    found = installed()
    if lacking := [name for name in INTAKE if not found[name]]:
        yield fail(
            "intake's versions", f"{', '.join(lacking)} not installed", "pip install 'fedfin[hospital]'"
        )
        return
    yield passed("intake's versions", _numbered(found, *INTAKE))


def _numbered(found: dict[str, str], *names: str) -> str:
    return ", ".join(f"{name} {found[name]}" for name in names)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
