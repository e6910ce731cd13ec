"""`fedfin edge doctor` against set-ups that are broken in one way each: that one is named, and no other is blamed."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from federation import Federation
from federation import broker as plain_broker
from kit_broker import KitBroker, kit_broker
from test_broker_check import certificate
from web_way import need

from benchmarks.transport.certificates import Authority
from fedfin.broker.check import admission, reading, tls_probe
from fedfin.broker.check.finding import Verdict
from fedfin.command_line.main import main
from fedfin.demo.processes import free_port
from fedfin.encoders.bundle import Manifest, read_manifest
from fedfin.encoders.golden import GOLDEN, Golden
from fedfin.lock import only_process
from fedfin.trust.accepted import TRUST
from fedfin.trust.identity import SIGNING

pytestmark = pytest.mark.broker
DAY_S = 86_400.0
STEPS = ("tcp", "tls", "connect", "rights", "packet", "throughput")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> KitBroker:
    """Its broker is not running."""
    return kit_broker(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def ward(kit: KitBroker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation whose site s0 is admitted and has encoded; bundles have features to compare with."""
    folder, tls = tmp_path_factory.mktemp("ward"), kit.tls("s0")
    files = ("--ca", tls.ca, "--certificate", tls.certificate, "--key", tls.key)
    Federation(folder, kit.url, sites=1, keys=True, options=files)
    for name, dim in (("image", 6), ("text", 4)):
        values = [2.0 * i / (dim - 1) - 1.0 for i in range(dim)]
        (folder / "bundles" / name / GOLDEN).write_bytes(msgspec.json.encode(Golden(values)))
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine answers come at once; elsewhere they are waited for."""
    for module, name in ((tls_probe, "REFUSAL_S"), (reading, "COMES_S"), (admission, "TAKEOVER_S")):
        monkeypatch.setattr(module, name, 0.3)


class SetUp:
    """A copy of the ward that a test may break."""

    def __init__(self, ward: Path, kit: KitBroker, folder: Path) -> None:
        self.kit, self.scratch = kit, folder
        shutil.copytree(ward, folder / "ward", copy_function=shutil.copy2)
        self.site = folder / "ward" / "s0"
        self.edit(f"{ward}/", f"{folder / 'ward'}/")

    @property
    def bundle(self) -> Path:
        """Of the images."""
        return self.site.parent / "bundles" / "image"

    def edit(self, old: str, new: str) -> None:
        """Of site.toml."""
        path = self.site / "site.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def add(self, section: str) -> None:
        """To site.toml."""
        path = self.site / "site.toml"
        path.write_text(f"{path.read_text()}\n{section}\n")

    def with_file(self, key: str, path: Path | None) -> None:
        """A file of [tls] is another one, or left out."""
        own = str(getattr(self.kit.tls("s0"), key))
        self.edit(f'{key} = "{own}"\n', "" if path is None else f'{key} = "{path}"\n')


def misspelt(setup: SetUp) -> None:
    setup.edit("held_out", "held_outt")


def clock_behind(setup: SetUp) -> None:
    os.utime(setup.site / "site.toml", (time.time() + DAY_S,) * 2)


def bundle_changed(setup: SetUp) -> None:
    with (setup.bundle / "encoder.onnx").open("ab") as stream:
        stream.write(b"\0")


def bundle_away(setup: SetUp) -> None:
    shutil.rmtree(setup.bundle)


def other_processor(setup: SetUp) -> None:
    """As where 8-bit sums saturate."""
    (setup.bundle / GOLDEN).write_bytes(msgspec.json.encode(Golden([1.0, 0.5, 0.0, 0.0, -0.5, -1.0])))


def other_encoder(setup: SetUp) -> None:
    """Whole, and not the plan's."""
    other: Manifest = msgspec.structs.replace(read_manifest(setup.bundle), source="another export")
    (setup.bundle / "manifest.json").write_bytes(msgspec.json.encode(other))


def no_table(setup: SetUp) -> None:
    (setup.site.parent / "s0.jsonl").unlink()


def not_encoded(setup: SetUp) -> None:
    (setup.site / "features.sqlite").unlink()


def too_few(setup: SetUp) -> None:
    """Counted, as `encode` does."""
    setup.add("[policy]\nleast_patients = 41")
    assert main(["edge", "encode", str(setup.site)]) == 0


def other_keys(setup: SetUp) -> None:
    (setup.site / TRUST / SIGNING).unlink()
    assert main(["edge", "request", str(setup.site), "--out", str(setup.scratch / "request")]) == 0


def not_allowed(setup: SetUp) -> None:
    setup.add("[policy]\nmost_rounds = 1")


def not_approved(setup: SetUp) -> None:
    setup.add("[policy]\napprove = true")


def no_password_file(setup: SetUp) -> None:
    setup.add(f'[proxy]\nurl = "http://127.0.0.1:{free_port()}"\nuser = "s0"')
    setup.edit("mqtts:", "mqtt:")


# fault -> (what fails, words of what is said and of the remedy, exit code)
HERE: dict[Callable[[SetUp], None], tuple[str, str, int]] = {
    misspelt: ("site.toml", "held_outt.*check its spelling", 3),
    clock_behind: ("clock", "a file in .* is of .*set this machine's clock", 1),
    bundle_changed: ("encoder image", "not the file that the manifest names.*copy the bundle again", 5),
    bundle_away: ("encoder image", "there is no such folder.*from the coordinator", 5),
    other_processor: ("encoder image parity", "cosine .* update onnxruntime", 5),
    other_encoder: ("plan's encoders", "this site's encoder of image.*ask the coordinator for the bundle", 3),
    no_table: ("cases", "there is no such table.*cases.table", 4),
    not_encoded: ("cases", "no case is encoded yet.*fedfin edge encode", 4),
    too_few: ("cases", "fewer than 41 patients.*add cases", 4),
    other_keys: ("keys", "lists other keys.*send the coordinator a new request", 9),
    not_allowed: ("plan", "policy.most_rounds is 1, the plan asks for.*if your people agree", 3),
    not_approved: ("plan", "is not approved here.*fedfin edge review", 3),
}


def examined(site: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict]]:
    """The exit code, and findings by what they are called."""
    capsys.readouterr()
    code = main(["edge", "doctor", str(site), "--json"])
    return code, {each["probe"]: each for each in json.loads(capsys.readouterr().out)}


def only(found: dict[str, dict], probe: str, words: str) -> None:
    """One thing fails, is described and has a remedy; what was not reached names it, or needs nothing."""
    failed = {name: each for name, each in found.items() if each["verdict"] == Verdict.FAIL}
    assert set(failed) == {probe}, failed
    assert failed[probe]["remedy"]
    assert _matches(words, failed[probe])
    for each in found.values():
        if each["verdict"] == Verdict.NOT_REACHED and " failed" in each["says"]:
            assert any(name in each["says"] for name in (probe, probe.split(maxsplit=1)[0] + "s"))


def _matches(words: str, finding: dict) -> bool:
    return re.search(words, f"{finding['says']}; {finding['remedy']}", re.DOTALL) is not None


@pytest.fixture
def setup(ward: Path, kit: KitBroker, tmp_path: Path) -> SetUp:
    """Nothing is broken yet."""
    return SetUp(ward, kit, tmp_path)


def test_a_site_that_is_well_has_no_fail_and_everything_is_asked(
    setup: SetUp, kit: KitBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """From versions to the plan; exit code 0."""
    with kit.running():
        code, found = examined(setup.site, capsys)
    assert code == 0
    bad = {name for name, each in found.items() if each["verdict"] not in (Verdict.PASS, Verdict.WARN)}
    assert bad == {"intake"}  # there is none
    assert set(found) >= {
        "versions", "clock", "disk", "memory", "processors", "site.toml", "secrets", "encoder image",
        "encoder text parity", "cases", "keys", "dns", "tcp", "tls", "client certificate", "connect",
        "rights to write", "packet", "throughput", "identity", "plan",
    }  # fmt: skip


@pytest.mark.parametrize("fault", HERE, ids=lambda fault: fault.__name__)
def test_what_is_wrong_here_is_named_and_nothing_else(
    fault: Callable[[SetUp], None], setup: SetUp, kit: KitBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the agent is at work, so that nobody asks in its name at the broker."""
    fault(setup)
    probe, words, expected = HERE[fault]
    with kit.running(), only_process(setup.site, "fedfin edge run"):
        code, found = examined(setup.site, capsys)
    only(found, probe, words)
    assert code == expected
    if fault is not misspelt:
        assert found["tls"]["verdict"] == Verdict.PASS
        assert "is at work here" in found["rights"]["says"]


def no_such_host(setup: SetUp) -> None:
    setup.edit("localhost", "broker.invalid")


def other_port(setup: SetUp) -> None:
    setup.edit(str(setup.kit.port), str(free_port()))


def other_name(setup: SetUp) -> None:
    setup.edit("localhost", "127.0.0.1")


def other_authority(setup: SetUp) -> None:
    setup.with_file("ca", Authority(setup.scratch / "other").ca)


def certificate_ended(setup: SetUp) -> None:
    files = certificate(setup.kit, setup.scratch, "s0", start=-9, end=-1)
    setup.with_file("certificate", files["certificate"])
    setup.with_file("key", files["key"])


def no_certificate(setup: SetUp) -> None:
    setup.with_file("certificate", None)
    setup.with_file("key", None)


def no_ca_file(setup: SetUp) -> None:
    setup.with_file("ca", setup.scratch / "away.pem")


def no_proxy_there(setup: SetUp) -> None:
    setup.add(f'[proxy]\nurl = "http://127.0.0.1:{free_port()}"')


# fault -> (what fails, words, which lines are not reached)
AWAY: dict[Callable[[SetUp], None], tuple[str, str, tuple[str, ...]]] = {
    no_such_host: ("dns", "does not resolve.*correct the host's name", STEPS),
    other_port: ("tcp", "nobody listens there.*start the broker", STEPS[1:]),
    other_name: ("host name", "the certificate is for localhost.*write the name", STEPS[1:]),
    other_authority: ("broker certificate", "not signed by a CA.*give its CA's file", STEPS[1:]),
    certificate_ended: ("certificate", "our certificate ended on.*renews it", STEPS[1:]),
    no_certificate: ("client certificate", "wants a client certificate.*with --certificate", STEPS[2:]),
    no_ca_file: ("connection", "cannot read the CA file.*correct", STEPS),
    no_proxy_there: ("proxy", "does not answer.*correct --proxy", STEPS[1:]),
}


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: fault.__name__)
def test_what_is_wrong_on_the_way_is_named_and_what_lies_behind_it_is_not_blamed(
    fault: Callable[[SetUp], None], setup: SetUp, kit: KitBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line behind it says that it was not reached, and because of what; each before it is well."""
    fault(setup)
    probe, words, behind = AWAY[fault]
    with kit.running():
        code, found = examined(setup.site, capsys)
    only(found, probe, words)
    assert code == 7
    assert {name for name in STEPS if found.get(name, {}).get("verdict") == Verdict.NOT_REACHED} == set(
        behind
    )
    assert {found[name]["says"] for name in behind} == {f"not reached because {probe} failed"}


# what the broker's operator did -> (what fails, words)
BROKERS: dict[str, tuple[dict[str, str], str, str]] = {
    "rules of another federation": (
        {"rules": "pattern readwrite fedfin/1/other/#\n"},
        "rights to write",
        "may not write.*docs/broker.md",
    ),
    "small packets": (
        {"max_packet_size": "65536"},
        "packet",
        "packets of 65536 bytes at most.*max_packet_size",
    ),
    "nothing retained": (
        {"retain_available": "false"},
        "retained",
        "Retain not supported.*retain_available true",
    ),
}


@pytest.mark.parametrize("name", BROKERS)
def test_what_the_broker_does_not_allow_is_named_and_nothing_else(
    name: str, setup: SetUp, kit: KitBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the kit's own broker, with one line changed."""
    changed, probe, words = BROKERS[name]
    with kit.running(**changed):  # type: ignore[arg-type]
        code, found = examined(setup.site, capsys)
    failed = [each["probe"] for each in found.values() if each["verdict"] == Verdict.FAIL]
    assert (failed, code) == ([probe], 7), found
    assert _matches(words, found[probe])


def test_a_port_without_tls_is_named(
    setup: SetUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broker of the older kind, behind a URL of the newer."""
    with plain_broker("mosquitto", tmp_path) as url:
        setup.edit(str(setup.kit.port), url.rpartition(":")[2])
        _, found = examined(setup.site, capsys)
    only(found, "tls", "does not speak TLS|connection broke.*(leave out the s|port)")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """One of 2 MB under the folder, which stays as it is. Needs root."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_named_and_the_store_on_it_is_not_blamed(
    setup: SetUp, kit: KitBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real one, to its last byte."""
    need("mount")
    with kit.running(), small_disk(setup.site), only_process(setup.site, "fedfin edge run"):
        with contextlib.suppress(OSError), (setup.site / "filler").open("wb") as filler:
            filler.write(bytes(1 << 22))
        code, found = examined(setup.site, capsys)
    only(found, "disk", "cannot write there.*free space")
    assert code == 1
    assert found["cases"]["says"] == "not reached because disk failed"
