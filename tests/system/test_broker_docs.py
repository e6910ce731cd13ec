"""docs/broker.md says what the code does, and its commands run."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from federation import need_mosquitto
from kit_broker import KitBroker

from fedfin.broker.check import (
    admission,
    check,
    delivery,
    network,
    own_certificate,
    reading,
    rights,
    tls_probe,
)
from fedfin.broker.kit import access_rules, mosquitto_conf, page, sizing
from fedfin.broker.kit.settings import KitSettings
from fedfin.command_line.main import main
from fedfin.demo.processes import free_port
from fedfin.settings import read_toml

PAGE = (Path(__file__).parents[2] / "docs/broker.md").read_text()
SETTINGS = KitSettings(federation="chest", hosts=("broker.example",))


@pytest.mark.parametrize(
    "part",
    [
        access_rules.table("chest"),
        mosquitto_conf.table(SETTINGS),
        sizing.words(SETTINGS.most_sites, 0, SETTINGS.model_mb * mosquitto_conf.MEGABYTE),
    ],
    ids=["rights", "configuration", "sizing"],
)
def test_the_page_holds_what_the_kit_writes(part: str) -> None:
    """Word by word; and so does the kit's own page."""
    assert part in PAGE
    assert part in page.text(SETTINGS)


def test_every_probe_is_explained() -> None:
    """By the name that its line has."""
    modules = (admission, check, delivery, network, own_certificate, reading, rights, tls_probe)
    sources = "\n".join(Path(str(module.__file__)).read_text() for module in modules)
    probes = set(re.findall(r'(?:passed|warn|fail)\(\s*"([a-z ]+)",', sources)) - {"own topic"}
    section = PAGE[PAGE.index("## What the check tells") : PAGE.index("## Rights")]
    told = {
        name for row in re.findall(r"^\| ([a-z, ]+) \|", section, re.MULTILINE) for name in row.split(", ")
    }
    assert len(probes) > 12
    assert probes - {"rights"} == told - {"probe"}


@pytest.mark.broker
def test_the_way_to_try_things_out_works_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty folder to a broker with certificates that passes every check, and on as the page says."""
    need_mosquitto()
    monkeypatch.chdir(tmp_path)
    port = free_port()
    block = next(block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "--make-keys" in block)
    lines = (
        block.replace("$PWD", str(tmp_path))
        .replace("mqtts://localhost", f"mqtts://localhost:{port}")
        .splitlines()
    )
    for line in lines[:2]:
        subprocess.run(line, shell=True, check=True)
    assert main([*shlex.split(lines[2])[1:], "--port", str(port)]) == 0
    subprocess.run(lines[3], shell=True, check=True)
    assert lines[4] == "mosquitto -c etc/mosquitto.conf &"
    with KitBroker(tmp_path, port).running():
        assert main(shlex.split(lines[5])[1:]) == 0
    settings = read_toml(tmp_path / "kit/kit.toml", KitSettings, what="kit")
    as_whoever_runs_this = re.sub(r"sudo | -[og] \w+", "", page.install(settings))
    subprocess.run(as_whoever_runs_this, shell=True, check=True, cwd=tmp_path / "kit")
