"""What systemd says of a service."""

from dataclasses import dataclass

from fedfin.errors import StateError
from fedfin.service.host import run
from fedfin.service.unit import Service

_ASKED = {
    "LoadState": "loaded",
    "ActiveState": "state",
    "SubState": "in detail",
    "ActiveEnterTimestamp": "since",
    "StatusText": "at",
    "Result": "last result",
    "ExecMainStatus": "last exit code",
    "NRestarts": "restarts",
    "MemoryCurrent": "bytes of memory",
}


@dataclass(frozen=True)
class Status:
    """systemd's own words, by its names of them."""

    unit: str
    properties: dict[str, str]

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self.properties["ActiveState"] == "active"

    def __str__(self) -> str:
        lines = [f"{_ASKED[name]}: {value}" for name, value in self.properties.items() if value]
        return "\n".join([self.unit, *(f"  {line}" for line in lines), f"log: journalctl -u {self.unit}"])


def read_status(service: Service, name: str) -> Status:
    """Raises StateError where there is no such service."""
    unit = service.instance(name)
    printed = run("systemctl", "show", unit, f"--property={','.join(_ASKED)}")
    properties = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    if properties.get("LoadState") != "loaded":
        raise StateError(f"there is no service {unit}: `fedfin {service.group} service install`")
    return Status(unit, {name: properties.get(name, "") for name in _ASKED})
