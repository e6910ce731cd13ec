"""A fresh RabbitMQ on loopback, with its MQTT plugins, in a folder of its own.

What is retained it keeps in memory: on disk, its default, a round of 5 MB takes longer.

It runs as whoever starts it; Debian's service, if there is one, is not touched: name, ports and epmd are others.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.transport.broker import Broker, find, running
from fedfin.demo.processes import free_port
from fedfin.errors import FedfinError

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's in /usr/sbin changes the user
_CONF = """\
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = true
mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_ets
web_mqtt.tcp.ip = 127.0.0.1
web_mqtt.tcp.port = {web}
"""


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Broker]:
    """Run it while the context lasts. Raises FedfinError when it is not installed."""
    if not SERVER.exists():
        raise FedfinError("RabbitMQ is not installed (apt-get install rabbitmq-server)")
    mqtt, web, epmd, erlang = (free_port() for _ in range(4))
    conf, plugins = folder / "rabbitmq.conf", folder / "enabled_plugins"
    conf.write_text(_CONF.format(mqtt=mqtt, web=web))
    plugins.write_text("[rabbitmq_mqtt,rabbitmq_web_mqtt].")
    environment = {
        "HOME": str(folder),  # for Erlang's cookie
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "fedfin@localhost",
        "RABBITMQ_DIST_PORT": str(erlang),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(conf),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    }
    with (
        running([find("epmd", "erlang-base")], epmd, folder / "epmd.log", environment),
        running([str(SERVER)], mqtt, folder / "rabbitmq.log", environment) as pid,
    ):
        yield Broker(f"mqtt://127.0.0.1:{mqtt}", pid, web_url=f"ws://127.0.0.1:{web}/ws")
