"""A real mosquitto over a real kit, on loopback; keys and requests are made as a site makes them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from federation import need, set_up

from benchmarks.transport.system import SYSTEMS
from fedfin.broker.kit.parties import certificate_of
from fedfin.demo.processes import free_port, wait_for_port
from fedfin.link import link_events, mqtt
from fedfin.link.tls import Tls
from fedfin.trust import certificate_requests

FEDERATION = "ward"
SITES = ("s0", "s1", "s2")
PEOPLE = ("aggregator", *SITES)
# FEDFIN_DEBIAN=sid: its mosquitto 2.1 in place of the installed one, with a plugin for access control lists.
SYSTEM = next(system for system in SYSTEMS if system.suite == os.environ.get("FEDFIN_DEBIAN", ""))
PLUGIN = next(SYSTEM.root.glob("usr/lib/*/mosquitto/mosquitto_acl_file.so"), None)


def program(*arguments: object) -> list[str]:
    """What runs mosquitto."""
    return SYSTEM.inside([SYSTEM.find("mosquitto", "mosquitto"), *map(str, arguments)])


def ask(folder: Path, name: str) -> Path:
    """A party makes its key, and its request in `requests`; the key's file."""
    key = certificate_requests.make_key()
    (folder / "requests").mkdir(exist_ok=True)
    request = certificate_requests.make_request(name, key)
    (folder / "requests" / f"{name}.csr").write_bytes(request.public_bytes(serialization.Encoding.PEM))
    place = folder / f"{name}.key"
    place.write_bytes(certificate_requests.key_pem(key))
    return place


@dataclass(frozen=True)
class KitBroker:
    """A kit's folder and the port that its broker is to listen on."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtts://localhost:{self.port}"

    def kit(self, *options: object) -> None:
        """Run `fedfin broker kit` over the folder."""
        set_up(
            "broker", "kit", "--out", self.folder / "kit", "--requests", self.folder / "requests", *options
        )

    def tls(self, name: str) -> Tls:
        """What a client has."""
        kit = self.folder / "kit"
        return Tls(kit / "ca.pem", certificate_of(kit, name), self.folder / f"{name}.key")

    @contextlib.contextmanager
    def running(
        self, *, environment: dict[str, str] | None = None, rules: str | None = None, **changed: str
    ) -> Iterator[subprocess.Popen]:
        """The broker with the kit's files, or other `rules`; lines of `changed` replace the kit's, "" drops them."""
        conf, own, other = self.folder / "run.conf", self.folder / "kit/broker", self.folder / "other.acl"
        text = (own / "mosquitto.conf").read_text()
        if rules is not None:
            other.write_text(rules)
            text = text.replace(str(own / "mosquitto.acl"), str(other))
        lines = text.splitlines()
        lines = [line for line in lines if line.split(" ")[0] not in changed]
        listener = next(index for index, line in enumerate(lines) if line.startswith("listener "))
        lines[listener + 1 : listener + 1] = [f"{key} {value}" for key, value in changed.items() if value]
        user = "user root\n" if os.geteuid() == 0 else ""  # else it could not read what root's kit wrote
        conf.write_text(user + "\n".join(lines) + "\n")
        with (self.folder / "mosquitto.log").open("a") as log:
            variables = os.environ | (environment or {})
            process = subprocess.Popen(program("-c", conf), stdout=log, stderr=log, env=variables)
        try:
            wait_for_port("127.0.0.1", self.port, 20.0)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def kit_broker(folder: Path, *options: object) -> KitBroker:
    """A kit for PEOPLE, whose requests have come."""
    need(SYSTEM, "mosquitto", "mosquitto")
    for name in PEOPLE:
        ask(folder, name)
    (folder / "sites.txt").write_text("\n".join(SITES))
    (folder / "data").mkdir()
    made = KitBroker(folder, free_port())
    where = (
        "--host",
        "localhost",
        "--port",
        made.port,
        "--etc",
        folder / "kit/broker",
        "--data",
        folder / "data",
    )
    newer = ("--mosquitto", "2.1", "--plugin", f"/{PLUGIN.relative_to(SYSTEM.root)}") if PLUGIN else ()
    made.kit("--federation", FEDERATION, "--sites", folder / "sites.txt", *where, *newer, *options)
    return made


class Peer:
    """One client; its client id is a lie unless the broker makes it true."""

    def __init__(self, url: str, tls: Tls | None, client_id: str = "anybody") -> None:
        self._link = mqtt.Link(url, client_id, will=("nowhere", bytes), tls=tls)
        self._heard: list[str] = []

    def __enter__(self) -> "Peer":
        self._link.start()
        self.first = self.next()
        return self

    def __exit__(self, *_: object) -> None:
        self._link.stop()

    def next(self, seconds: float = 15.0) -> link_events.LinkEvent:
        """The next thing that happens."""
        return self._link.events.get(timeout=seconds)

    def write(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> str | None:
        """What the broker answers: None, or why not."""
        token = self._link.publish(topic, payload, retain=retain)
        while True:
            match self.next():
                case link_events.Taken(taken, refused) if taken == token:
                    return refused
                case link_events.Down(reason):
                    return reason
                case link_events.Arrived(heard):
                    self._heard.append(heard)

    def follow(self, *topics: str) -> None:
        """Subscribe; mosquitto grants it to everybody, and delivers by rights."""
        for topic in topics:
            self._link.subscribe(topic)
        self.write("nowhere")  # the broker answers in order: what was asked before is done

    def heard(self, quiet: float = 0.5) -> list[str]:
        """Topics of all that has come, once nothing has for so many seconds."""
        while events := link_events.gather(self._link.events, quiet):
            self._heard += [event.topic for event in events if isinstance(event, link_events.Arrived)]
        return self._heard


def refused(url: str, tls: Tls | None) -> str:
    """Why the broker does not let somebody in."""
    with Peer(url, tls) as peer:
        assert isinstance(peer.first, link_events.Down), peer.first
        return peer.first.reason
