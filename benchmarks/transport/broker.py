"""A fresh mosquitto on loopback, with its own defaults: what it drops or delays then, it drops or delays for anyone."""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedfin.demo.processes import free_port, wait_for_port
from fedfin.errors import FedfinError


@dataclass(frozen=True)
class Broker:
    """Where it listens, and its process."""

    url: str
    pid: int


@contextlib.contextmanager
def mosquitto(folder: Path, settings: str = "") -> Iterator[Broker]:
    """Run it while the context lasts, with further lines of `settings`. Raises FedfinError when it is not installed."""
    if (
        program := shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    ) is None:
        raise FedfinError("mosquitto is not installed (apt-get install mosquitto)")
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{settings}\n")
    with (folder / "mosquitto.log").open("w") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    try:
        wait_for_port("127.0.0.1", port, 20.0)
        yield Broker(f"mqtt://127.0.0.1:{port}", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
