"""What a liar with a few hundred KB of questions costs the real aggregator, over a real broker."""

import re
import subprocess
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from federation import broker, set_up, start

from fedfin import limits
from fedfin.link.broker_url import BrokerUrl
from fedfin.model.plan_file import plan_toml
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol.messages.manifest import Want
from fedfin.protocol.messages.message import encode
from fedfin.protocol.topics import Topics

pytestmark = pytest.mark.broker
PLAN = Plan(
    federation="ward",
    labels=("effusion",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=1000),),
    model=Model(fin="mlp", answer="head", head_width=2000),  # 8 MB
    rounds=Rounds(sites=1),
)
CHUNKS = 31
WANTS = 100  # of all chunks, 800 MB in all
MB = 1024


def _peak(server: subprocess.Popen) -> int:
    """KB of resident memory, at most so far."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1])


def _wait_until_it_serves(log: Path) -> None:
    until = time.monotonic() + 60
    while '"round"' not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def _ask(url: str, names: list[str]) -> None:
    """Each name wants all chunks of the first version, again and again; nobody listens to the answers."""
    address = BrokerUrl.parse(url)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect(address.host, address.port)
    client.loop_start()
    bits = (2**CHUNKS - 1).to_bytes(-(-CHUNKS // 8), "little")
    want = encode(Want(part="snapshot", version=0, bitmap=bits))
    topics = [Topics("ward").site(name, "up/ctl") for name in names]
    sent = [client.publish(topics[number % len(names)], want, qos=1) for number in range(WANTS)]
    for each in sent:
        each.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize(
    "names", [["liar"], [f"liar-{number}" for number in range(20)]], ids=["one", "twenty"]
)
def test_wants_without_end_cost_the_aggregator_no_more_than_the_limit(
    names: list[str], tmp_path: Path
) -> None:
    """A few KB of questions for 800 MB of answers: its queue holds 8 MB of them, whoever asks."""
    (tmp_path / "plan.toml").write_text(plan_toml(PLAN))
    set_up("aggregator", "init", tmp_path / "plan.toml", tmp_path / "agg")
    log = tmp_path / "agg.log"
    with broker("mosquitto", tmp_path) as url:
        server = start(
            "aggregator", "serve", tmp_path / "agg", "--broker", url, "--json", "--no-keys", log=log
        )
        try:
            _wait_until_it_serves(log)
            time.sleep(1.0)
            before = _peak(server)
            _ask(url, names)
            time.sleep(3.0)
            assert server.poll() is None, log.read_text()[-2000:]
            growth = _peak(server) - before
        finally:
            server.kill()
    print(f"{len(names)} names, {WANTS} wants: {growth / MB:.0f} MB more")
    assert growth < 4 * limits.ANSWER_BYTES / 1024
