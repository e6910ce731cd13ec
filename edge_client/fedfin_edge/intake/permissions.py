"""What the unit of an intake may do beyond its template: as little as the site's settings ask for (systemd.exec(5))."""

import os
from pathlib import Path

from fedfin_edge.intake_settings import IntakeSettings

_FIRST_FREE_PORT = 1024
# Capabilities count in the user namespace that the port is in: the machine's, not one of the service's own.
_LOW_PORTS = """\
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
PrivateUsers=false
"""


def permissions(settings: IntakeSettings, site: Path) -> str:
    """Lines of [Service]: ports below 1024, where one is named; writing, where taken files are removed."""
    lines = ""
    if any(each and each.port < _FIRST_FREE_PORT for each in (settings.dicom, settings.hl7)):
        lines += _LOW_PORTS
    if settings.folder is not None and settings.folder.remove:
        watched = Path(os.path.normpath(site.absolute() / settings.folder.path))
        lines += "" if watched.is_relative_to(site.absolute()) else f"ReadWritePaths={_quote(watched)}\n"
    return lines


def _quote(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
