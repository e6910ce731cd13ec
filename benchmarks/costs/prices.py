"""The price file: what a year costs is counted with it."""

from pathlib import Path
from typing import Annotated

import msgspec

from fedfin.settings import read_toml

DEFAULT = Path(__file__).with_name("prices.toml")
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An unknown key is an error."""


class Energy(_Closed, frozen=True):
    """watts_a_core: of a busy one; kwh_a_gb: of the network; a_kwh: its price."""

    watts_a_core: Annotated[float, msgspec.Meta(gt=0.0)]
    kwh_a_gb: NotNegative
    a_kwh: NotNegative


class Line(_Closed, frozen=True):
    """a_gb: the price of 10^9 bytes."""

    a_gb: NotNegative


class Use(_Closed, frozen=True):
    """What is done in a year; core_hour: the price of one."""

    sites: Annotated[int, msgspec.Meta(ge=1)]
    studies_a_year: NotNegative
    cases_a_site: NotNegative
    core_hour: NotNegative


class Prices(_Closed, frozen=True):
    """The whole file."""

    currency: Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
    energy: Energy
    line: Line
    use: Use


def read_prices(path: Path = DEFAULT) -> Prices:
    """Raises SettingsError, which names file, key and remedy."""
    return read_toml(path, Prices, what="price")
