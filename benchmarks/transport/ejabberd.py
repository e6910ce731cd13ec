"""A fresh ejabberd on loopback, with MQTT (mod_mqtt) over TCP and WebSockets, in a folder of its own.

It lets nobody in who shows no name; here any name and password will do. Debian's service, if there is one, is not
touched: it runs as whoever starts it, and ports, folder and epmd are others.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.transport.broker import Broker, running
from benchmarks.transport.system import HERE, System
from fedfin.demo.processes import free_port
from fedfin.files import make_private
from fedfin.link.login import Login

_CONF = """\
hosts: [localhost]
loglevel: warning
listen:
  - {{port: {mqtt}, ip: 127.0.0.1, module: mod_mqtt}}
  - {{port: {web}, ip: 127.0.0.1, module: ejabberd_http, request_handlers: {{/mqtt: mod_mqtt}}}}
auth_method: [anonymous]
anonymous_protocol: login_anon
modules: {{mod_mqtt: {{}}}}
"""


@contextlib.contextmanager
def ejabberd(folder: Path, system: System = HERE) -> Iterator[Broker]:
    """Run it while the context lasts. Raises FedfinError when it is not installed."""
    system.find("ejabberdctl", "ejabberd")
    code = next(system.root.glob("usr/lib/*/ejabberd-*/ebin"))
    mqtt, web, epmd = (free_port() for _ in range(3))
    conf, password = folder / "ejabberd.yml", folder / "password"
    conf.write_text(_CONF.format(mqtt=mqtt, web=web))
    make_private(password)
    password.write_text("any\n")
    environment = {
        "HOME": str(folder),  # for Erlang's cookie
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "EJABBERD_CONFIG_PATH": str(conf),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
    }
    erlang = [
        system.find("erl", "erlang-base"),
        "-noinput",
        "-sname",
        "fedfin@localhost",
        "-pa",
        f"/{code.relative_to(system.root)}",
    ]
    tables = ["-mnesia", "dir", f'"{folder / "mnesia"}"']
    names = system.inside([system.find("epmd", "erlang-base")])
    server = system.inside([*erlang, *tables, "-s", "ejabberd"])
    with (
        running(names, epmd, folder / "epmd.log", environment),
        running(server, mqtt, folder / "erlang.log", environment) as pid,
    ):
        login = Login("fedfin", password)
        yield Broker(f"mqtt://127.0.0.1:{mqtt}", pid, web_url=f"ws://127.0.0.1:{web}/mqtt", login=login)
