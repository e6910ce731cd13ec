"""A fresh aedes (Node.js) on loopback, from `npm install --prefix build/aedes aedes@1.2.0`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.transport.broker import Broker, running
from benchmarks.transport.system import HERE
from fedfin.demo.processes import free_port
from fedfin.errors import FedfinError

INSTALLED = Path(__file__).parents[2] / "build" / "aedes" / "node_modules" / "aedes"
_SCRIPT = """\
import {{ createServer }} from "node:net"
import {{ Aedes }} from "{installed}/aedes.js"
const broker = await Aedes.createBroker()
createServer(broker.handle).listen({port}, "127.0.0.1")
"""


@contextlib.contextmanager
def aedes(folder: Path) -> Iterator[Broker]:
    """Run it while the context lasts. Raises FedfinError when it is not installed."""
    if not INSTALLED.exists():
        raise FedfinError("aedes is not installed (npm install --prefix build/aedes aedes@1.2.0)")
    port = free_port()
    command = [
        HERE.find("node", "nodejs"),
        "--input-type=module",
        "-e",
        _SCRIPT.format(installed=INSTALLED, port=port),
    ]
    with running(command, port, folder / "aedes.log") as pid:
        yield Broker(f"mqtt://127.0.0.1:{port}", pid)
