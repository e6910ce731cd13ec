"""TOML files and environment into typed settings; every error names the file, the key and the remedy."""

import re
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import msgspec.inspect

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.errors import SettingsError
from fedfin.files import read_at_most

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

_MEANINGS: dict[str, str] = {}  # of regular expressions, as messages quote them
_REGEX = re.compile(r"Expected `str` matching regex (.*)")


def pattern(regex: str, meaning: str) -> msgspec.Meta:
    """A constraint on a text; its error says "must be `meaning`", which a person reads more easily."""
    _MEANINGS[repr(regex)] = meaning
    return msgspec.Meta(pattern=regex)


def read_toml(path: Path, kind: type[T], *, what: str) -> T:
    """Read a TOML file as `kind`, a closed msgspec struct.

    `what` names the file in messages ("plan", "site settings"). Raises SettingsError.
    """
    try:
        text = read_at_most(path, limits.SETTINGS_BYTES).decode()
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such {what} file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the {what} file ({error}); it must be UTF-8 TOML") from None
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {explain(str(error), kind)}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except UNDECODABLE:
        raise SettingsError(f"{path}: is nested too deeply, or holds a number that is too long") from None


def explain(message: str, kind: type) -> str:
    """Turn msgspec's "Expected ... - at `$.a.b`" into "key a.b: expected ..."."""
    text, at, where = message.partition(" - at `$")
    if "unknown field" in text:
        text += "; remove it or check its spelling"
    if "missing required field" in text:
        text += "; add it"
    key = where.rstrip("`").lstrip(".")
    if (regex := _REGEX.fullmatch(text)) and regex[1] in _MEANINGS:
        text = f"must be {_MEANINGS[regex[1]]}"
    if "Invalid enum value" in text:
        text += f"; one of {', '.join(map(str, _choices(kind, key)))}"
    return f"key {key}: {text}" if at else text


def _choices(kind: type, key: str) -> tuple[Any, ...]:
    """What the Literal at `key` ("a.b[0].c") allows; empty when there is none."""
    node: Any = msgspec.inspect.type_info(kind)
    for name in re.sub(r"\[[^]]*\]", "", key).split("."):
        fields = {field.encode_name: field.type for field in getattr(node, "fields", ())}
        node = fields.get(name)
        node = getattr(node, "item_type", node)  # a list's
    return tuple(getattr(node, "values", ()))
