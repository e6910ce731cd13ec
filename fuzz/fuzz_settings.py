"""Plans and site settings in TOML."""

import contextlib

from fedfin.model.plan_file import read_plan
from fedfin.settings import read_toml
from fedfin_edge.site import SiteSettings
from fuzz.scratch import REFUSED, scratch_file


def fuzz(data: bytes) -> None:
    """Settings, or a reason."""
    path = scratch_file("settings.toml", data)
    with contextlib.suppress(REFUSED):
        read_plan(path)
    with contextlib.suppress(REFUSED):
        read_toml(path, SiteSettings, what="site settings")
