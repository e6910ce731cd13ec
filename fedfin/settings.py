"""TOML files and environment into typed settings; every error names the file, the key and the remedy."""

import sys
from pathlib import Path
from typing import TypeVar

import msgspec

from fedfin.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def read_toml(path: Path, kind: type[T], *, what: str) -> T:
    """Read a TOML file as `kind`, a closed msgspec struct.

    `what` names the file in messages ("plan", "site settings"). Raises SettingsError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such {what} file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the {what} file ({error}); it must be UTF-8 TOML") from None
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {_explain(str(error))}") from None


def _explain(message: str) -> str:
    """Turn msgspec's "Expected ... - at `$.a.b`" into "key a.b: expected ..."."""
    text, at, where = message.partition(" - at `$")
    if "unknown field" in text:
        text += "; remove it or check its spelling"
    if not at:
        return text
    key = where.rstrip("`").lstrip(".")
    return f"key {key or 'at the top level'}: {text}"
