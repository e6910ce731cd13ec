"""Each file in examples/ does what it is an example of."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedfin.command_line.main import main
from fedfin.model.plan_file import read_plan
from fedfin.plan import Plan
from fedfin.service.unit import OPTIONS, SERVICES, Service, text
from fedfin_edge.site import open_site

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_used_here() -> None:
    """A file that is added needs a test, too."""
    names = {path.name for path in EXAMPLES.iterdir()} - {service.unit for service in SERVICES}
    assert names == {"plan.toml", "site.toml", "mosquitto.conf", "mosquitto.acl"}


@pytest.fixture
def plan() -> Plan:
    """The example's."""
    return read_plan(EXAMPLES / "plan.toml")


def test_the_plan_sets_up_an_aggregator(tmp_path: Path, plan: Plan) -> None:
    """And asks for no more sites than it waits for."""
    assert main(["aggregator", "init", str(EXAMPLES / "plan.toml"), str(tmp_path / "chest")]) == 0
    assert plan.rounds.min_sites < plan.rounds.sites


def test_the_site_fits_the_plan(tmp_path: Path, plan: Plan) -> None:
    """Federation, labels and modalities are the plan's."""
    shutil.copy(EXAMPLES / "site.toml", tmp_path)
    site = open_site(tmp_path)
    assert site.settings.federation == plan.federation
    assert site.settings.cases.labels == plan.labels
    assert [*site.settings.modalities] == [modality.name for modality in plan.modalities]
    assert site.tls is not None
    assert site.tls.certificate == tmp_path / f"{site.settings.site}.pem"


@pytest.mark.parametrize("name", ["mosquitto.conf", "mosquitto.acl"])
def test_the_broker_is_what_the_kit_makes(tmp_path: Path, name: str) -> None:
    """So there is one truth, and tests/system/test_kit_on_mosquitto.py runs it. After a change, copy it from a kit."""
    command = ["broker", "kit", "--out", str(tmp_path / "kit"), "--federation", "chest"]
    assert main([*command, "--host", "broker.example", "--mosquitto", "2.0"]) == 0
    assert (tmp_path / "kit/broker" / name).read_text() == (EXAMPLES / name).read_text()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_unit_is_what_is_installed_and_packaged(service: Service) -> None:
    """So there is one truth. After a change, copy it from `fedfin.service.unit.text`."""
    assert (EXAMPLES / service.unit).read_text() == text(service)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_unit_starts_a_command_that_there_is(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """It gets as far as its folder, which is not there: the command line itself is right."""
    (line,) = [line for line in text(service).splitlines() if line.startswith("ExecStart=")]
    options = "--json" + (" --broker mqtts://broker.example" if service.group == "aggregator" else "")
    line = line.replace("%i", "nowhere").replace(f"${OPTIONS}", options)
    program, *words = shlex.split(line.removeprefix("ExecStart="))
    assert Path(program).name == "fedfin"
    assert main(words) in {3, 9}
    assert f"/var/lib/fedfin/{service.group}/nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_systemd_finds_no_fault_in_a_unit_and_its_sandbox_tight(service: Service, tmp_path: Path) -> None:
    """With a program that exists in the place of ours. 10 is no sandbox; systemd calls up to 4.9 OK."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    unit = tmp_path / service.instance("ward")
    unit.write_text(text(service, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    judge = ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit]
    judged = subprocess.run(judge, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout
