"""One 5 MB update over an uplink of 2 Mbit/s that loses every tenth packet and is cut every ten seconds.

    python -m benchmarks.transport.bad_link [--json]

Real mosquitto with TLS, `fedfin aggregator serve` and the real site agent, on two hosts made of network namespaces.
Needs root, iproute2 and nftables. What is counted begins when the site's update is ready and ends with its receipt.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.transport.namespaces import HUB, BadLink, unavailable
from benchmarks.transport.stand_ins import AGGREGATOR, Folders, Line, issue_certificates, stand_in_plan
from fedfin.errors import FedfinError

PORT = 8883
EVERY_S, CUT_S = 10.0, 2.5
CUTS = ("reset", "silence", "down")
GIVE_UP_S = 300.0
TRAINING = 2  # the round whose update counts; the one before pools moments


@dataclass(frozen=True)
class Figures:
    """`wire_bytes`: sent by the site's network interface; `sent_again`: published beyond the updates' own bytes."""

    payload_bytes: int
    wire_bytes: int
    sent_again: int
    cuts: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Wire bytes for each byte of the update."""
        return self.wire_bytes / self.payload_bytes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: sudo python -m benchmarks.transport.bad_link --json",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args()
    if (reason := unavailable()) is not None:
        sys.exit(f"bad_link: {reason}")
    with tempfile.TemporaryDirectory(prefix="fedfin-link-") as folder:
        figures = measure(Path(folder))
    if args.json:
        print(json.dumps(asdict(figures) | {"ratio": figures.ratio}, indent=2))
        return
    print(f"{figures.payload_bytes / 1e6:.2f} MB in {figures.seconds:.0f} s over {figures.cuts} cuts")
    print(f"on the wire: {figures.wire_bytes / 1e6:.2f} MB, {figures.ratio:.2f} times the update")
    print(f"sent again: {figures.sent_again / 1e3:.0f} KB of its chunks")


def measure(folder: Path) -> Figures:
    """Run it in `folder`. Raises FedfinError when the update does not arrive."""
    settings, tls = issue_certificates(folder / "pki", HUB)
    line = Line(f"mqtts://{HUB}:{PORT}", tls)
    folders = Folders(folder, lambda _: line, stand_in_plan(folder, sites=1, rounds=1))
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {PORT} {HUB}\nallow_anonymous true\npersistence false\n{settings}\n")
    with BadLink() as link, contextlib.ExitStack() as stack:

        def start(name: str, host: str, command: list[str]) -> Callable[[str], list[dict[str, Any]]]:
            log = folder / f"{name}.log"
            process = stack.enter_context(_running(link.inside(host, command), log))
            return lambda event: _facts(log, event, process)

        python = [sys.executable, "-m"]
        start("broker", link.hub, ["mosquitto", "-c", str(config)])
        aggregator = start(AGGREGATOR, link.hub, [*python, *folders.commands[AGGREGATOR]])
        (name,) = folders.sites
        site = start(name, link.site, [*python, *folders.commands[name]])
        return _Upload(link, aggregator, site).watch()


class _Upload:
    """The link is left in peace until the update is ready, then cut and mended until it has arrived."""

    def __init__(self, link: BadLink, aggregator: Callable[..., Any], site: Callable[..., Any]) -> None:
        self._link, self._aggregator, self._site = link, aggregator, site

    def watch(self) -> Figures:
        _until(lambda: [each for each in self._site("round") if each["round"] == TRAINING])
        before, started = self._link.sent_bytes(), time.monotonic()
        cuts = 0
        while not (arrived := self._arrived()):
            self._wait(started + EVERY_S * (cuts + 1))
            if self._arrived():
                continue
            self._link.cut(CUTS[cuts % len(CUTS)])
            time.sleep(CUT_S)
            self._link.mend()
            cuts += 1
            if time.monotonic() - started > GIVE_UP_S:
                raise FedfinError(f"the update did not arrive within {GIVE_UP_S:.0f} s")
        seconds, wire = time.monotonic() - started, self._link.sent_bytes() - before
        payload = arrived[0]["bytes"]
        return Figures(payload, wire, self._sent_again(), cuts, seconds)

    def _wait(self, until: float) -> None:
        while time.monotonic() < until and not self._arrived():
            time.sleep(0.1)

    def _arrived(self) -> list[dict[str, Any]]:
        return [each for each in self._aggregator("update") if each["round"] == TRAINING and each["accepted"]]

    def _sent_again(self) -> int:
        """From what the site says at its end: all that it published, less what each of its updates weighs."""
        (costs,) = _until(lambda: self._site("costs"))
        updates = sum(each["bytes"] for each in self._aggregator("update"))
        return int(costs["bytes_up"] - updates)


def _until(found: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    until = time.monotonic() + GIVE_UP_S
    while time.monotonic() < until:
        if facts := found():
            return facts
        time.sleep(0.05)
    raise FedfinError(f"nothing more was heard within {GIVE_UP_S:.0f} s")


def _facts(log: Path, event: str, process: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
    """The events of that name that a process has told so far. Raises FedfinError when it has failed."""
    text = log.read_text(encoding="utf-8")
    if process.poll():
        raise FedfinError(f"{log.name}: {text[-500:]}")
    lines = [line for line in text.rpartition("\n")[0].splitlines() if line.startswith("{")]
    return [facts for facts in map(json.loads, lines) if facts["event"] == event]


@contextlib.contextmanager
def _running(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run it while the context lasts."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
