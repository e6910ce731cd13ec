"""docs/broker.md, "Behind a web server": its lines and commands, with other ports and paths."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_way import WEB_SERVER, need, running_at

from fedfin.command_line.main import main
from fedfin.demo.processes import free_port

pytestmark = pytest.mark.broker
PAGE = (Path(__file__).parents[2] / "docs/broker.md").read_text()
SECTION = PAGE[PAGE.index("### Behind a web server") : PAGE.index("## Sizing")]


def block(word: str) -> str:
    """The page's, that begins so."""
    return next(
        each for each in re.findall(r"```\n(.*?)```", SECTION, re.DOTALL) if each.strip().startswith(word)
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where we are, with rights, passwords and a certificate, by whoever runs this: without sudo."""
    need("nginx", "websockify", "mosquitto", "mosquitto_passwd", "openssl")
    monkeypatch.chdir(tmp_path)
    Path("sites.txt").write_text("st-mary\nst-john\n")
    Path("password").write_text("correct-horse\n")
    assert main(block("fedfin broker kit").splitlines()[0].split()[1:]) == 0
    Path("mosquitto.acl").write_bytes(Path("kit/broker/mosquitto.acl").read_bytes())
    Path("passwords").touch(mode=0o600)
    for name in ("aggregator", "st-mary"):
        subprocess.run(["mosquitto_passwd", "-b", "passwords", name, "correct-horse"], check=True)
    subprocess.run(block("openssl req"), shell=True, check=True, capture_output=True)
    return tmp_path


@contextlib.contextmanager
def behind_nginx(folder: Path, *, without: str = "") -> Iterator[str]:
    """The URL of the page's broker; `without`: a line that is left out of mosquitto's."""
    broker, behind, web = (free_port() for _ in range(3))
    conf = block("listener 1883").replace("1883", str(broker)).replace("/etc/mosquitto/fedfin", str(folder))
    lines = [line.strip() for line in conf.splitlines() if line.strip() != without]
    user = ["user root"] if os.geteuid() == 0 else []  # else it could not read what root has made here
    (folder / "mosquitto.conf").write_text("\n".join(user + lines) + "\n")
    server = block("server {").replace("listen 443", f"listen 127.0.0.1:{web}").replace("9001", str(behind))
    server = server.replace("/etc/nginx", str(folder))
    (folder / "nginx.conf").write_text(WEB_SERVER.format(folder=folder, server=server))
    websockify = re.search(r"`(websockify .*?)`", SECTION)
    assert websockify
    bridge = websockify[1].replace("9001", str(behind)).replace("1883", str(broker))
    nginx = [
        "nginx",
        "-c",
        str(folder / "nginx.conf"),
        "-p",
        str(folder),
        "-g",
        "daemon off; master_process off;",
    ]
    with contextlib.ExitStack() as stack:
        commands = {
            broker: ["mosquitto", "-c", str(folder / "mosquitto.conf")],
            behind: bridge.split(),
            web: nginx,
        }
        for port, command in commands.items():
            stack.enter_context(running_at(command, port, folder / f"{command[0]}.log"))
        yield f"wss://localhost:{web}/mqtt"


def asked(url: str, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """What the page's check finds, but for what passed: verdict, probe and remedy."""
    words = block("fedfin broker check").splitlines()[0].replace("wss://broker.example/mqtt", url).split()[1:]
    capsys.readouterr()
    main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    return [(each["verdict"], each["probe"], each["remedy"]) for each in found if each["verdict"] != "PASS"]


def test_the_pages_lines_make_a_broker_that_passes_every_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with behind_nginx(folder) as url:
        assert asked(url, capsys) == []


def test_without_certificates_it_is_the_user_name_that_a_client_id_should_be_tied_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "use_username_as_clientid true"
    with behind_nginx(folder, without=line) as url:
        remedy = f"tie it to the user name (mosquitto: `{line}`)"
        assert asked(url, capsys) == [("WARN", "identity", remedy)]
