"""The broker as a service of systemd, in a sandbox: it can listen, read its own files and write its own data."""

from fedfin.broker.kit.mosquitto_conf import CONF, size_of
from fedfin.broker.kit.mosquitto_version import find_program
from fedfin.broker.kit.settings import KitSettings
from fedfin.service.sandbox import SANDBOX

_STATE = "/var/lib/"


def text(settings: KitSettings) -> str:
    """The unit. Its memory limit is twice mosquitto's own: OpenSSL and the allocator do not count in that one."""
    size = size_of(settings)
    program = find_program() or "/usr/sbin/mosquitto"
    return f"""\
# The MQTT broker of the federation "{settings.federation}", by `fedfin broker kit`.
[Unit]
Description=MQTT broker of the federation {settings.federation}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={program} -c {settings.etc}/{CONF}
ExecReload=/bin/kill -HUP $MAINPID
User=mosquitto
Group=mosquitto
Restart=always
RestartSec=5
LimitNOFILE={size.connections + 64}
MemoryMax={2 * size.memory}
{_data(settings.data)}
{SANDBOX}
[Install]
WantedBy=multi-user.target
"""


def _data(folder: str) -> str:
    """Below /var/lib systemd makes the folder itself, for the service's user alone."""
    if folder.startswith(_STATE):
        return f"StateDirectory={folder.removeprefix(_STATE)}\nStateDirectoryMode=0700"
    return f"ReadWritePaths={folder}"
