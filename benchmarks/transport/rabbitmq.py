"""A fresh RabbitMQ on loopback, with its MQTT plugins, in a folder of its own; or a cluster of several nodes.

What is retained it keeps in memory: on disk, its default, a round of 5 MB takes longer.

It runs as whoever starts it; Debian's service, if there is one, is not touched: name, ports and epmd are others.
"""

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.transport.broker import Broker, running, started, wait_for
from benchmarks.transport.system import HERE, System
from fedfin.demo.processes import free_port
from fedfin.files import make_private

PROGRAMS = "/usr/lib/rabbitmq/bin"  # Debian's in /usr/sbin change the user
NO_MEMORY, USUAL_MEMORY = "0.00001", "0.6"  # of the machine's, from which on a node takes nothing
_ALL_AT_ONCE = 4  # the first version whose nodes start so
_CONF = """\
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = true
mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_ets
web_mqtt.tcp.ip = 127.0.0.1
web_mqtt.tcp.port = {web}
"""


@dataclass(frozen=True)
class Cluster:
    """Its nodes by number, and where and with what environment their programs run."""

    nodes: list[Broker]
    environment: Mapping[str, str]
    system: System

    def forget(self, number: int) -> None:
        """A node is lost for good, and with it what it alone knew. Raises CalledProcessError."""
        other = (number + 1) % len(self.nodes)
        self._control(other, "forget_cluster_node", _name(number))

    def memory_alarm(self, number: int, *, on: bool) -> None:
        """A node is out of memory by its own measure, or is not any more. Raises CalledProcessError."""
        self._control(number, "set_vm_memory_high_watermark", NO_MEMORY if on else USUAL_MEMORY)

    def _control(self, number: int, *words: str) -> None:
        command = self.system.inside([f"{PROGRAMS}/rabbitmqctl", "-n", _name(number), *words])
        subprocess.run(command, env=os.environ | self.environment, check=True, capture_output=True)


@contextlib.contextmanager
def rabbitmq(folder: Path, system: System = HERE) -> Iterator[Broker]:
    """Run it while the context lasts. Raises FedfinError when it is not installed."""
    with rabbitmq_cluster(folder, 1, system) as cluster:
        yield cluster.nodes[0]


@contextlib.contextmanager
def rabbitmq_cluster(folder: Path, count: int, system: System = HERE) -> Iterator[Cluster]:
    """Nodes that know of each other, while the context lasts. Raises FedfinError when it is not installed."""
    system.find("rabbitmq-server", "rabbitmq-server")
    cookie, epmd = folder / ".erlang.cookie", free_port()
    make_private(cookie)
    cookie.write_text(secrets.token_hex(16))
    names = [_name(number) for number in range(count)]
    shared = {
        "HOME": str(folder),  # for Erlang's cookie
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    }
    with ExitStack() as stack:
        ports = system.inside([system.find("epmd", "erlang-base")])
        stack.enter_context(running(ports, epmd, folder / "epmd.log", shared))
        server = system.inside([f"{PROGRAMS}/rabbitmq-server"])
        # Since 4.0 a node of a new cluster waits for the others before it listens. Before, nodes that start at once may
        # each begin a group for MQTT's client ids, and one of them then lets nobody in.
        by_turns = _major_version(system, shared) < _ALL_AT_ONCE
        nodes = []
        for name in names:
            nodes.append(stack.enter_context(_node(server, folder, name, names, shared)))
            if by_turns:
                wait_for(nodes[-1].port)
        for node in nodes:
            wait_for(node.port)
        yield Cluster(nodes, shared, system)


def _major_version(system: System, environment: Mapping[str, str]) -> int:
    words = system.inside([f"{PROGRAMS}/rabbitmqctl", "version"])
    done = subprocess.run(words, env=os.environ | environment, check=True, capture_output=True, text=True)
    return int(done.stdout.split(".")[0])


def _name(number: int) -> str:
    return f"fedfin{number}@localhost"


@contextlib.contextmanager
def _node(
    server: Sequence[str], folder: Path, name: str, names: list[str], shared: Mapping[str, str]
) -> Iterator[Broker]:
    mqtt, web, erlang = (free_port() for _ in range(3))
    own = folder / name.partition("@")[0]
    own.mkdir()
    conf, plugins = own / "rabbitmq.conf", own / "enabled_plugins"
    conf.write_text(_CONF.format(mqtt=mqtt, web=web) + (_cluster(names) if len(names) > 1 else ""))
    plugins.write_text("[rabbitmq_mqtt,rabbitmq_web_mqtt].")
    environment = {
        "RABBITMQ_NODENAME": name,
        "RABBITMQ_DIST_PORT": str(erlang),
        "RABBITMQ_MNESIA_BASE": str(own / "mnesia"),
        "RABBITMQ_LOG_BASE": str(own / "log"),
        "RABBITMQ_CONFIG_FILE": str(conf),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
    }
    with started(server, own / "rabbitmq.log", {**shared, **environment}) as pid:
        yield Broker(f"mqtt://127.0.0.1:{mqtt}", pid, web_url=f"ws://127.0.0.1:{web}/ws")


def _cluster(names: list[str]) -> str:
    lines = [
        f"cluster_formation.classic_config.nodes.{number} = {name}" for number, name in enumerate(names, 1)
    ]
    return "\n".join(["cluster_formation.peer_discovery_backend = classic_config", *lines, ""])
