"""Two hosts of one's own on this machine, and the bad link between them: network namespaces, tc and nftables.

The site's end is shaped to an uplink's rate, and packets get lost at random in both directions. Needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType

TOOLS = ("ip", "tc", "nft")
HUB, SITE = "10.77.0.1", "10.77.0.2"
_CHAIN = "add chain inet link in { type filter hook input priority 0; }"


def unavailable() -> str | None:
    """Why there can be no namespaces here, or None."""
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(lacking)} not installed (apt-get install iproute2 nftables)"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    probe = subprocess.run(
        ["ip", "netns", "add", "fedfin-probe"], capture_output=True, text=True, check=False
    )
    subprocess.run(["ip", "netns", "delete", "fedfin-probe"], capture_output=True, check=False)
    return (
        None if probe.returncode == 0 else f"network namespaces are not allowed here: {probe.stderr.strip()}"
    )


class BadLink:
    """A context: hosts HUB and SITE, joined by a link that a test can cut. What runs in them must end before it."""

    def __init__(self, *, rate: str = "2mbit", lost_of_ten: int = 1) -> None:
        self._rate, self._lost = rate, lost_of_ten
        self.hub, self.site = (f"fedfin-{role}-{os.getpid()}" for role in ("hub", "site"))

    def __enter__(self) -> "BadLink":
        try:
            self._set_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _set_up(self) -> None:
        for name in (self.hub, self.site):
            _do("ip", "netns", "add", name)
        ends = f"hub netns {self.hub} type veth peer name edge netns {self.site}"
        _do("ip", "link", "add", *ends.split())
        for name, device, address in ((self.hub, "hub", HUB), (self.site, "edge", SITE)):
            # Segments as a real link carries them, so that what gets lost is a packet and not 64 KB at once.
            self.run(name, "ip", "link", "set", device, "gso_max_segs", "1", "up")
            self.run(name, "ip", "link", "set", "lo", "up")
            self.run(name, "ip", "address", "add", f"{address}/24", "dev", device)
            self.run(name, "nft", "add table inet link")
            self.run(name, "nft", _CHAIN)
            self.run(name, "nft", "add chain inet link cut")
            self.run(name, "nft", f"add rule inet link in iifname {device} jump cut")
            lose = f"add rule inet link in iifname {device} numgen random mod 10 < {self._lost} drop"
            self.run(name, "nft", lose)
        shape = f"tc qdisc add dev edge root tbf rate {self._rate} burst 5kb latency 200ms"
        self.run(self.site, *shape.split())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for name in (self.hub, self.site):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def inside(self, name: str, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` on that host."""
        return ["ip", "netns", "exec", name, *command]

    def run(self, name: str, *command: str) -> str:
        """Run a command on that host to its end; what it printed."""
        return _do(*self.inside(name, command))

    def sent_bytes(self) -> int:
        """What the site's end has put on the wire, Ethernet headers included, lost packets too."""
        return int(self.run(self.site, "cat", "/sys/class/net/edge/statistics/tx_bytes"))

    def cut(self, kind: str) -> None:
        """Until `mend`: "silence" swallows all packets, "reset" answers with TCP resets, "down" pulls the cable."""
        if kind == "down":
            self.run(self.site, "ip", "link", "set", "edge", "down")
            return
        action = {"silence": "drop", "reset": "meta l4proto tcp reject with tcp reset"}[kind]
        for name in (self.hub, self.site):
            self.run(name, "nft", f"add rule inet link cut {action}")

    def mend(self) -> None:
        """The link is as it was."""
        self.run(self.site, "ip", "link", "set", "edge", "up")
        for name in (self.hub, self.site):
            self.run(name, "nft", "flush chain inet link cut")


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
