"""Three hospitals' networks around a web server, as network namespaces. Needs root.

    straight    10.78.1.2, may reach the server
    proxied     10.78.2.2, may reach a proxy and nothing else; the proxy allows CONNECT to port 443, with a password
    ipv6        fd78:3::2 and no IPv4 address at all

The server is nginx on port 443 of 10.78.1.1 and fd78:3::1, with WebSockets and a broker behind it.
"""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from web_way import NGINX, PASSWORD, TINYPROXY, USER, need

from benchmarks.transport.certificates import Authority
from fedfin.demo.processes import free_port

SERVER, SERVER_6, PROXY = "10.78.1.1", "fd78:3::1", "10.78.2.1"
PROXY_PORT, WEB_PORT = 3128, 443
_SITES = {"straight": f"{SERVER[:-1]}2/24", "proxied": f"{PROXY[:-1]}2/24", "ipv6": f"{SERVER_6[:-1]}2/64"}
SECONDS = 20.0


def run(*command: object) -> str:
    """To its end; what it printed."""
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


class Networks:
    """A context: the namespaces, by role; what runs in them must end before it."""

    def __init__(self) -> None:
        mark = free_port()  # unlike that of another test at the same time
        self.names = {role: f"fedfin-{role}-{mark}" for role in ("hub", *_SITES)}

    def __enter__(self) -> "Networks":
        try:
            for name in self.names.values():
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            for role, address in _SITES.items():
                self._join(role, address)
            self._shut_in("proxied")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def _join(self, role: str, address: str) -> None:
        """The hub's end has the same network's first address."""
        hub, site = self.names["hub"], self.names[role]
        run(
            "ip",
            "link",
            "add",
            f"to-{role}",
            "netns",
            hub,
            "type",
            "veth",
            "peer",
            "name",
            "out",
            "netns",
            site,
        )
        own = address.replace(".2/", ".1/").replace("::2/", "::1/")
        for name, device, each in ((hub, f"to-{role}", own), (site, "out", address)):
            run("ip", "-n", name, "address", "add", each, "dev", device, *(("nodad",) if ":" in each else ()))
            run("ip", "-n", name, "link", "set", device, "up")

    def _shut_in(self, role: str) -> None:
        """Of what comes from there only the proxy's port is let in."""
        hub = self.names["hub"]
        run(*self.inside("hub"), "nft", "add table inet wall")
        run(*self.inside("hub"), "nft", "add chain inet wall in { type filter hook input priority 0; }")
        rule = f"add rule inet wall in iifname to-{role} tcp dport != {PROXY_PORT} drop"
        run("ip", "netns", "exec", hub, "nft", rule)

    def inside(self, role: str) -> list[str]:
        """In front of a command that is to run there."""
        return ["ip", "netns", "exec", self.names[role]]

    @contextlib.contextmanager
    def running(self, *command: object, port: int, log: Path) -> Iterator[None]:
        """A server in the hub, once it listens."""
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*self.inside("hub"), *map(str, command)], stdout=stream, stderr=stream
            )
        try:
            end = time.monotonic() + SECONDS
            while not run(*self.inside("hub"), "ss", "-Htln", f"sport = :{port}"):
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def web(networks: Networks, folder: Path) -> Iterator[Path]:
    """Broker, WebSockets, nginx with TLS and the proxy, in the hub; the file with the authority's certificate."""
    need("nginx", "tinyproxy", "websockify", "mosquitto")
    authority = Authority(folder / "pki")
    pair = authority.issue("web", hosts=(f"IP:{SERVER}", f"IP:{SERVER_6}", f"IP:{PROXY}"), days=365)
    listen = f"listen {WEB_PORT} ssl; listen [::]:{WEB_PORT} ssl;"
    files = {"folder": folder, "certificate": pair.certificate, "key": pair.key}
    (folder / "nginx.conf").write_text(NGINX.format(listen=listen, behind=9001, **files))
    login = {"user": USER, "password": PASSWORD, "allowed": WEB_PORT}
    (folder / "tinyproxy.conf").write_text(
        TINYPROXY.format(folder=folder, address=PROXY, port=PROXY_PORT, **login)
    )
    (folder / "mosquitto.conf").write_text(
        "listener 1883 127.0.0.1\nallow_anonymous true\npersistence false\n"
    )
    servers = {
        1883: ("mosquitto", "-c", folder / "mosquitto.conf"),
        9001: ("websockify", "127.0.0.1:9001", "127.0.0.1:1883"),
        WEB_PORT: (
            "nginx",
            "-c",
            folder / "nginx.conf",
            "-p",
            folder,
            "-g",
            "daemon off; master_process off;",
        ),
        PROXY_PORT: ("tinyproxy", "-d", "-c", folder / "tinyproxy.conf"),
    }
    with contextlib.ExitStack() as stack:
        for port, command in servers.items():
            stack.enter_context(networks.running(*command, port=port, log=folder / f"{command[0]}.log"))
        yield authority.ca
