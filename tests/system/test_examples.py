"""Each file in examples/ does what it is an example of."""

import contextlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import Federation, need_mosquitto

from benchmarks.transport.certificates import Authority
from fedfin.command_line.main import main
from fedfin.demo.processes import free_port, wait_for_port
from fedfin.link import link_events, mqtt
from fedfin.link.tls import Tls
from fedfin.model.plan_file import read_plan
from fedfin.plan import Plan
from fedfin.protocol.topics import Topics
from fedfin_edge.site import open_site

EXAMPLES = Path(__file__).parents[2] / "examples"
UNITS = sorted(EXAMPLES.glob("*.service"))


def test_every_example_is_used_here() -> None:
    """A file that is added needs a test, too."""
    names = {path.name for path in EXAMPLES.iterdir()} - {unit.name for unit in UNITS}
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


@contextlib.contextmanager
def example_broker(folder: Path, authority: Authority) -> Iterator[str]:
    """The example's mosquitto with this test's certificates, folder and port, for the federation "ward"."""
    need_mosquitto()
    pair, port = authority.issue("broker", hosts=("DNS:localhost",)), free_port()
    acl = (EXAMPLES / "mosquitto.acl").read_text()
    (folder / "mosquitto.acl").write_text(acl.replace("/chest/", "/ward/"))
    conf = (EXAMPLES / "mosquitto.conf").read_text()
    for example, ours in {
        "/etc/mosquitto/fedfin/ca.pem": str(authority.ca),
        "/etc/mosquitto/fedfin/broker.pem": str(pair.certificate),
        "/etc/mosquitto/fedfin/broker.key": str(pair.key),
        "/etc/mosquitto/fedfin/mosquitto.acl": str(folder / "mosquitto.acl"),
        "/var/lib/mosquitto/": f"{folder}/",
        "listener 8883": f"listener {port}",
    }.items():
        assert example in conf
        conf = conf.replace(example, ours)
    (folder / "mosquitto.conf").write_text(f"user root\n{conf}")
    process = subprocess.Popen(["mosquitto", "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL)
    try:
        wait_for_port("127.0.0.1", port, 20.0)
        yield f"mqtts://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def identity(authority: Authority, name: str) -> Tls:
    """A certificate in this name."""
    pair = authority.issue(name)
    return Tls(authority.ca, pair.certificate, pair.key)


@pytest.mark.broker
def test_a_federation_runs_with_the_rights_that_the_example_gives(tmp_path: Path) -> None:
    """No more are needed: nobody is refused anything."""
    authority = Authority(tmp_path / "pki")
    with example_broker(tmp_path, authority) as url:
        federation = Federation(tmp_path, url, sites=2, options=("--ca", authority.ca))
        for name in federation.names:
            tls = identity(authority, name)
            settings = federation.folder / name / "site.toml"
            lines = f'[tls]\ncertificate = "{tls.certificate}"\nkey = "{tls.key}"'
            settings.write_text(settings.read_text().replace("[tls]", lines))
        tls = identity(authority, "aggregator")
        federation.options = ("--ca", authority.ca, "--certificate", tls.certificate, "--key", tls.key)
        federation.run()
    for name in ("agg", *federation.names):
        assert "refused" not in {event["event"] for event in federation.events(name)}


def answer(link: mqtt.Link, topic: str) -> str | None:
    """What the broker says to a publish on this topic: None, or why not."""
    token = link.publish(topic, b"x")
    while True:
        match link.events.get(timeout=15.0):
            case link_events.Taken(taken, refused) if taken == token:
                return refused
            case link_events.Down(reason):
                raise AssertionError(reason)


@pytest.mark.broker
def test_a_site_can_write_only_for_itself(tmp_path: Path) -> None:
    """Neither as another site, nor as the aggregator, whatever its client is called."""
    authority, topics = Authority(tmp_path / "pki"), Topics("ward")
    with example_broker(tmp_path, authority) as url:
        will = topics.site("s0", "up/state"), bytes
        link = mqtt.Link(url, "fedfin-ward-aggregator", will=will, tls=identity(authority, "s0"))
        link.start()
        try:
            assert isinstance(link.events.get(timeout=15.0), link_events.Up)
            assert answer(link, topics.site("s0", "up/ctl")) is None
            for topic in (topics.site("s1", "up/ctl"), topics.site("s0", "dn/ctl"), topics.manifest):
                assert "ot authorized" in str(answer(link, topic))
        finally:
            link.stop()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_there_is(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It gets as far as its folder, which is not there: the command line itself is right."""
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    program, *words = shlex.split(line.removeprefix("ExecStart=").replace("%i", "nowhere"))
    assert Path(program).name == "fedfin"
    assert main(words) in {3, 9}
    assert "/srv/fedfin/nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault_in_a_unit(unit: Path, tmp_path: Path) -> None:
    """With a program that exists in the place of ours."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    copy = tmp_path / unit.name.replace("@", "@ward")
    copy.write_text(unit.read_text().replace("/opt/fedfin/bin/fedfin", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
