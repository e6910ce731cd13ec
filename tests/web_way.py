"""A hospital's way out, for tests: a proxy with a password that allows one port, and nginx with TLS behind it."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.transport.certificates import Authority
from fedfin.demo.processes import free_port, wait_for_port

USER, PASSWORD = "st-mary", "correct-horse"
WEB_SERVER = """\
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
access_log off;
client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder};
{server}
}}
"""
_BROKER_BEHIND = """\
server {{
    {listen}
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location /mqtt {{
        proxy_pass http://127.0.0.1:{behind};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_set_header Sec-WebSocket-Protocol binary;  # websockify knows no other
    }}
}}"""
NGINX = WEB_SERVER.replace("{server}", _BROKER_BEHIND)
TINYPROXY = """\
Port {port}
Listen {address}
Timeout 600
BasicAuth {user} {password}
ConnectPort {allowed}
LogFile "{folder}/proxy.log"
"""


def need(*programs: str) -> None:
    """Skip the test where one is not installed."""
    for program in programs:
        if shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin") is None:
            pytest.skip(f"{program} is not installed (apt-get install {program})")


@dataclass(frozen=True)
class Way:
    """`url`: wss:// to the broker on `broker_port`; `proxy`: to go through; `options`: as the commands take them."""

    url: str
    broker_port: int
    ca: Path
    proxy: str
    password_file: Path
    folder: Path

    @property
    def options(self) -> tuple[object, ...]:
        """Of `edge init` and `aggregator serve`."""
        login = ("--proxy-user", USER, "--proxy-password-file", self.password_file)
        return ("--ca", self.ca, "--proxy", self.proxy, *login)


@contextlib.contextmanager
def way_out(folder: Path) -> Iterator[Way]:
    """Everything but the broker: this machine's mosquitto may be built without WebSockets, so websockify adds them."""
    need("nginx", "tinyproxy", "websockify", "mosquitto")
    broker_port, behind, web, proxy = (free_port() for _ in range(4))
    authority = Authority(folder / "pki")
    pair = authority.issue("web", hosts=("DNS:localhost",))
    nginx, tinyproxy, secret = folder / "nginx.conf", folder / "tinyproxy.conf", folder / "password"
    secret.write_text(f"{PASSWORD}\n")
    listen = f"listen 127.0.0.1:{web} ssl;"
    files = {"folder": folder, "certificate": pair.certificate, "key": pair.key}
    nginx.write_text(NGINX.format(listen=listen, behind=behind, **files))
    tinyproxy.write_text(
        TINYPROXY.format(
            folder=folder, address="127.0.0.1", port=proxy, user=USER, password=PASSWORD, allowed=web
        )
    )
    commands = {
        behind: ["websockify", f"127.0.0.1:{behind}", f"127.0.0.1:{broker_port}"],
        web: ["nginx", "-c", str(nginx), "-p", str(folder), "-g", "daemon off; master_process off;"],
        proxy: ["tinyproxy", "-d", "-c", str(tinyproxy)],
    }
    with contextlib.ExitStack() as stack:
        for port, command in commands.items():
            stack.enter_context(running_at(command, port, folder / f"{command[0]}.log"))
        yield Way(
            f"wss://localhost:{web}/mqtt",
            broker_port,
            authority.ca,
            f"http://127.0.0.1:{proxy}",
            secret,
            folder,
        )


@contextlib.contextmanager
def running_at(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A command's process, once it listens there."""
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        wait_for_port("127.0.0.1", port, 20.0)
        yield
    finally:
        process.terminate()
        process.wait(10)
