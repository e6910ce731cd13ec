"""Three hospitals, one behind a proxy and one with IPv6 alone, over wss://: the model of three on one machine.

Needs root, nginx, tinyproxy and websockify: `make test-network`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import Federation, broker
from hospital_networks import PROXY, PROXY_PORT, SERVER, SERVER_6, Networks, run, web
from web_way import PASSWORD, USER

from benchmarks.transport.namespaces import unavailable

pytestmark = [pytest.mark.broker, pytest.mark.slow]
WAYS = {"s0": "straight", "s1": "proxied", "s2": "ipv6"}
URLS = {
    "straight": f"wss://{SERVER}/mqtt",
    "proxied": f"wss://{SERVER}/mqtt",
    "ipv6": f"wss://[{SERVER_6}]/mqtt",
}
SECONDS = 180.0


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """The same three sites on this machine, over plain MQTT: what the model should be."""
    folder = tmp_path_factory.mktemp("straight")
    with broker("mosquitto", folder) as url:
        federation = Federation(folder, url, sites=3)
        federation.run()
    return federation


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    """Or a skip, with the reason."""
    if (reason := unavailable()) is not None:
        pytest.skip(reason)
    with Networks() as made:
        yield made


def settle(federation: Federation, name: str, ca: Path) -> None:
    """Write the site's way out into its site.toml, as `edge init` would."""
    way, path = WAYS[name], federation.folder / name / "site.toml"
    sections = f'\n[tls]\nca = "{ca}"\n'
    if way == "proxied":
        (path.parent / "proxy-password").write_text(f"{PASSWORD}\n")
        proxy = f'[proxy]\nurl = "http://{PROXY}:{PROXY_PORT}"\nuser = "{USER}"\npassword_file = "proxy-password"\n'
        sections += f"\n{proxy}"
    path.write_text(path.read_text().replace(federation.broker_url, URLS[way]) + sections)


def begin(networks: Networks, role: str, *words: object, log: Path) -> subprocess.Popen:
    """A command of ours on that network."""
    command = [*networks.inside(role), sys.executable, "-m", "fedfin", *map(str, words)]
    with log.open("w") as stream:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)


def can_reach(networks: Networks, role: str, host: str, port: int) -> bool:
    """By TCP, within a second."""
    code = f"import socket; socket.create_connection(({host!r}, {port}), 1.0)"
    command = [*networks.inside(role), sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_the_model_is_the_same_to_the_byte(straight: Federation, networks: Networks, tmp_path: Path) -> None:
    """And the networks are what they are called; no log has the proxy's password; the doctor proves the proxy."""
    federation = Federation(tmp_path, "mqtt://127.0.0.1:1883", sites=3)
    with web(networks, tmp_path) as ca:
        for name in WAYS:
            settle(federation, name, ca)
        assert can_reach(networks, "straight", SERVER, 443)
        assert can_reach(networks, "ipv6", SERVER_6, 443)
        assert can_reach(networks, "proxied", PROXY, PROXY_PORT)
        assert not can_reach(networks, "proxied", PROXY, 443)
        assert run("ip", "-n", networks.names["ipv6"], "-4", "address", "show", "dev", "out") == ""
        doctor = begin(
            networks, "proxied", "edge", "doctor", tmp_path / "s1", "--json", log=tmp_path / "doctor.log"
        )
        assert doctor.wait(SECONDS) == 0, (tmp_path / "doctor.log").read_text()
        serve = (
            "aggregator",
            "serve",
            tmp_path / "agg",
            "--broker",
            federation.broker_url,
            "--no-keys",
            "--json",
        )
        started = {"agg": begin(networks, "hub", *serve, log=tmp_path / "agg.log")}
        for name, role in WAYS.items():
            words = ("edge", "run", tmp_path / name, "--no-keys", "--json")
            started[name] = begin(networks, role, *words, log=tmp_path / f"{name}.log")
        try:
            codes = {name: process.wait(SECONDS) for name, process in started.items()}
        finally:
            for process in started.values():
                process.kill()
                process.wait()
    assert set(codes.values()) == {0}, {
        name: (tmp_path / f"{name}.log").read_text()[-1000:] for name in codes
    }
    model = (straight.folder / "agg" / "final.fedfin").read_bytes()
    for owner in ("agg", *(f"{name}/state" for name in WAYS)):
        assert (tmp_path / owner / "final.fedfin").read_bytes() == model, owner
    assert f"CONNECT {SERVER}:443" in (tmp_path / "proxy.log").read_text()
    assert not [log for log in tmp_path.glob("*.log") if PASSWORD in log.read_text()]
    lines = (tmp_path / "doctor.log").read_text().splitlines()
    found = {each["probe"]: each["verdict"] for each in json.loads(lines[-1])}
    assert (found["proxy"], found["broker certificate"], found["packet"]) == ("PASS", "PASS", "PASS")
