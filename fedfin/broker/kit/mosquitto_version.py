"""Which mosquitto is on this machine: 2.1 has other names for some settings than 2.0."""

import re
import shutil
import subprocess

from fedfin.broker.kit.settings import Version
from fedfin.errors import SettingsError

_PLACES = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"  # a user's PATH has no sbin on some systems


def find_program() -> str | None:
    """Where mosquitto is, or None."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_PLACES)


def installed_version() -> Version | None:
    """Whose rules the installed one keeps; None when there is none. Raises SettingsError for one before 2.0."""
    if (program := find_program()) is None:
        return None
    answer = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"mosquitto version (\d+)\.(\d+)", answer)
    if version is None:
        return None
    number = int(version[1]), int(version[2])
    if number < (2, 0):
        raise SettingsError(
            f"mosquitto {version[1]}.{version[2]} at {program} is too old; install 2.0 or newer"
        )
    return "2.0" if number < (2, 1) else "2.1"
