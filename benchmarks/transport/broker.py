"""A fresh mosquitto on loopback, with its own defaults: what it drops or delays then, it drops or delays for anyone."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.transport.system import HERE, System
from fedfin.demo.processes import free_port, wait_for_port
from fedfin.link.login import Login

START_S = 90.0  # RabbitMQ takes 6 s alone on two cores
STOP_S = 30.0


@dataclass(frozen=True)
class Broker:
    """Where it listens, and its process.

    `site_url`: where sites connect, if that is not where the aggregator does; `web_url`: for WebSockets, if there are;
    `login`: for all who connect, if it wants one.
    """

    url: str
    pid: int
    site_url: str = ""
    web_url: str = ""
    login: Login | None = None

    @property
    def port(self) -> int:
        """Of `url`."""
        return int(self.url.rpartition(":")[2])


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A broker's process, and what that starts, while the context lasts; its process id, once the port answers."""
    with started(command, log, environment) as pid:
        wait_for(port)
        yield pid


@contextlib.contextmanager
def started(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The same, at once; what it drops where it runs, such as a crash dump, lies beside its log."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            env=os.environ | (environment or {}),
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(port: int) -> None:
    """Until a broker that was started answers. Raises LinkError when it does not."""
    wait_for_port("127.0.0.1", port, START_S)


@contextlib.contextmanager
def mosquitto(folder: Path, settings: str = "", system: System = HERE) -> Iterator[Broker]:
    """Run it while the context lasts, with further lines of `settings`. Raises FedfinError when it is not installed."""
    program, port, config = system.find("mosquitto", "mosquitto"), free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{settings}\n")
    command = system.inside([program, "-c", str(config)])
    with running(command, port, folder / "mosquitto.log") as pid:
        yield Broker(f"mqtt://127.0.0.1:{port}", pid)
