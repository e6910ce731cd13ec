"""What a kit was made with: `kit.toml` in its folder, so that the next run needs to be told only what changes."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from fedfin import limits
from fedfin.broker.kit.parties import AGGREGATOR, certificate_of, shard_name
from fedfin.errors import SettingsError
from fedfin.files import write_atomically
from fedfin.names import Name
from fedfin.settings import explain, pattern, read_toml

SETTINGS = "kit.toml"

Host = Annotated[str, pattern(r"^[A-Za-z0-9.:-]{1,253}\Z", "a host name or address like broker.example")]
Listen = Annotated[
    str, pattern(r"^[A-Za-z0-9.:-]{0,253}\Z", "an address of the broker's machine like 10.0.0.7")
]
Folder = Annotated[str, pattern(r"^/[^\s\"'\\%$]*\Z", "an absolute path without spaces or quotes")]
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
Version = Literal["2.0", "2.1"]


class KitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One federation's broker.

    `hosts`: the names that clients may call it by; the first is the one that is told to them.
    `listen`: the one address of the broker's machine to listen on; empty: all of them.
    `most_sites`, `model_mb`: what limits and sizing allow for. `days`, `ca_days`: how long certificates are valid.
    `mosquitto`: whose rules the configuration is written by; `plugin`: 2.1's for access control lists.
    `etc`, `data`: where the files and the retained messages will lie on the broker's machine.
    """

    federation: Name
    hosts: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1)]
    sites: tuple[Name, ...] = ()
    shards: Annotated[int, msgspec.Meta(ge=0, le=limits.SHARDS)] = 0
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 8883
    listen: Listen = ""
    most_sites: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    model_mb: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 20
    days: Days = 365
    ca_days: Days = 3650
    mosquitto: Version = "2.0"
    plugin: Folder = "/usr/lib/mosquitto_acl_file.so"
    etc: Folder = "/etc/mosquitto/fedfin"
    data: Folder = "/var/lib/fedfin-broker"
    other_ca: bool = False

    @property
    def clients(self) -> tuple[str, ...]:
        """The names of everybody who needs a certificate but the broker."""
        return (AGGREGATOR, *map(shard_name, range(self.shards)), *self.sites)

    @property
    def url(self) -> str:
        """What clients write."""
        return f"mqtts://{self.hosts[0]}:{self.port}"


def settle(folder: Path, options: dict[str, Any]) -> KitSettings:
    """The settings of before, if there are any, with what `options` change. Raises SettingsError."""
    path = folder / SETTINGS
    before = msgspec.to_builtins(read_toml(path, KitSettings, what="kit")) if path.exists() else {}
    raw = before | {key: value for key, value in options.items() if value is not None}
    for key, option in (("federation", "--federation NAME"), ("hosts", "--host broker.example")):
        if key not in raw:
            raise SettingsError(f"{path} is not there yet, so this is a new kit: it needs {option}")
    if before and raw["federation"] != before["federation"]:
        raise SettingsError(
            f"{folder} is the kit of federation {before['federation']!r}; choose another folder with --out"
        )
    for name in sorted({*before.get("sites", ())} - {*raw.get("sites", ())}):
        if certificate_of(folder, name).exists():
            raise SettingsError(
                f"site {name!r} has a certificate but is not in the list of sites any more; shut it out first:"
                f" fedfin broker kit --out {folder} --revoke {name}"
            )
    return _converted(raw)


def _converted(raw: dict[str, Any]) -> KitSettings:
    try:
        settings = msgspec.convert(raw, KitSettings)
    except msgspec.ValidationError as error:
        reason = explain(str(error), KitSettings)
        raise SettingsError(
            f"cannot make the kit: {reason}; correct the option of that name, or {SETTINGS}"
        ) from None
    if len(settings.sites) > settings.most_sites:
        raise SettingsError(
            f"{len(settings.sites)} sites are more than the broker's limits are made for;"
            f" give --most-sites {2 * len(settings.sites)}"
        )
    return settings


def write(folder: Path, settings: KitSettings) -> None:
    """Remember them: JSON's texts, numbers and lists are TOML's."""
    pairs = [
        f"{key} = {msgspec.json.encode(value).decode()}"
        for key, value in msgspec.structs.asdict(settings).items()
    ]
    text = "# What `fedfin broker kit` was told; an option of the next run changes its line.\n"
    write_atomically(folder / SETTINGS, (text + "\n".join(pairs) + "\n").encode())
