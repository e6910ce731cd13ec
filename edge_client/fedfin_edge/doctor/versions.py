"""What is installed, and what is lacking for a site to take part."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, passed

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


def installed() -> dict[str, str]:
    """Version by package; empty: it is not there."""
    return {name: _version(name) for name in ("fedfin", *NEEDED)}


def versions(_: Path) -> Iterator[Finding]:
    """By the packages' own metadata: nothing is imported."""
    found = installed()
    if lacking := [name for name in NEEDED if not found[name]]:
        yield fail("versions", f"{', '.join(lacking)} not installed", "pip install 'fedfin[edge]'")
        return
    says = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    yield passed("versions", f"Python {platform.python_version()} on {platform.machine()}, {says}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
