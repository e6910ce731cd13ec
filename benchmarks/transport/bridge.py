"""Two mosquittos, joined by a bridge: one in a hospital's DMZ, where its sites connect, and the one at the centre."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.transport.broker import Broker, mosquitto
from benchmarks.transport.system import HERE, System

# docs/broker.md shows the same lines. `try_private`: each side knows the other as a bridge, so that what is retained
# on one is retained on the other. Nothing need be kept for a bridge that is down: what is missing is asked for again.
LINES = """\
connection centre
address {address}
bridge_protocol_version mqttv50
try_private true
notifications false
cleansession true
remote_clientid {federation}-dmz
topic site/+/up/# out 1 fedfin/1/{federation}/ fedfin/1/{federation}/
topic site/+/dn/# in 1 fedfin/1/{federation}/ fedfin/1/{federation}/
topic agg/# in 1 fedfin/1/{federation}/ fedfin/1/{federation}/
topic global/# in 1 fedfin/1/{federation}/ fedfin/1/{federation}/
"""


@contextlib.contextmanager
def bridge(folder: Path, federation: str, settings: str = "", system: System = HERE) -> Iterator[Broker]:
    """Run both while the context lasts, with further lines of `settings`.

    Raises FedfinError when mosquitto is not installed.
    """
    centre, dmz = folder / "centre", folder / "dmz"
    centre.mkdir()
    dmz.mkdir()
    common = f"set_tcp_nodelay true\nmax_queued_messages 0\n{settings}"
    with mosquitto(centre, common, system) as far:
        lines = LINES.format(address=far.url.removeprefix("mqtt://"), federation=federation)
        with mosquitto(dmz, f"{common}\n{lines}", system) as near:
            yield Broker(far.url, far.pid, near.url)
