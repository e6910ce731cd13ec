"""What `fedfin edge doctor` says of the machine: of this one, and of what a Jetson's kernel shows."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedfin.broker.check.finding import Verdict
from fedfin.command_line.main import main
from fedfin.errors import SettingsError
from fedfin_edge.doctor import disk, intake, jetson, memory, processors
from fedfin_edge.doctor.archive import archive, archive_at
from fedfin_edge.doctor.clock import _written, clock
from fedfin_edge.doctor.echo import echo
from fedfin_edge.intake_settings import DicomListener, Fhir, Folder, Resources


def test_this_machine_is_measured(tmp_path: Path) -> None:
    """Each check has one line, and tests run on a machine that has what they need."""
    for check in (clock, disk.disk, memory.memory, processors.processors):
        (finding,) = check(tmp_path)
        assert finding.verdict in {Verdict.PASS, Verdict.WARN}
        assert any(sign.isdigit() for sign in finding.says)


def test_a_file_that_is_gone_while_the_folder_is_looked_at_is_no_clock_s(tmp_path: Path) -> None:
    """An agent at work writes beside its files, and renames."""
    assert _written(tmp_path / ".counts.json.part") == 0.0


GROUPS = {  # /proc/self/cgroup -> the file with the limit
    "a container": ("0::/\n", "memory.max"),
    "a unit": ("0::/system.slice/fedfin.service\n", "system.slice/fedfin.service/memory.max"),
    "a slice above": ("0::/system.slice/fedfin.service\n", "system.slice/memory.max"),
    "version 1": (
        "9:name=systemd:/\n4:cpuset,memory:/docker/1a\n0::/\n",
        "memory/docker/1a/memory.limit_in_bytes",
    ),
    "version 1 in a container": ("4:memory:/docker/1a\n", "memory/memory.limit_in_bytes"),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_little_memory_fails_and_a_control_group_s_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As the kernel writes it (cgroups(7)); `max` is none."""
    own, file = GROUPS[kind]
    (tmp_path / "own").write_text(own)
    limit = tmp_path / file
    limit.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(memory, "_OWN", tmp_path / "own")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    for text, verdict in (("500000000\n", Verdict.FAIL), ("1500000000\n", Verdict.WARN), ("max\n", None)):
        limit.write_text(text)
        (finding,) = memory.memory(tmp_path)
        assert finding.verdict is verdict or (verdict is None and f"{0.5:.1f}" not in finding.says)


def test_more_threads_than_cores_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to set."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    (finding,) = processors.processors(tmp_path)
    assert finding.verdict is Verdict.WARN
    assert "OMP_NUM_THREADS=4096" in finding.says
    assert "or leave it out" in finding.remedy


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files as `Documentation/ABI/testing/sysfs-class-thermal` of the kernel has them, of an Orin Nano's zones."""
    (tmp_path / "model").write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    for number, (kind, degrees) in enumerate(
        {"cpu-thermal": "51312", "tj-thermal": "52468", "gpu-thermal": ""}.items()
    ):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{degrees}\n")
    monkeypatch.setattr(jetson, "MODEL", tmp_path / "model")
    monkeypatch.setattr(jetson, "ZONES", tmp_path)
    return tmp_path


def test_a_jetson_s_hottest_zone_is_shown_and_a_unit_that_is_off_is_left_out(board: Path) -> None:
    """Other machines have no such line at all."""
    mode, temperature = jetson.jetson(board)
    assert "Orin Nano" in mode.says
    assert (temperature.verdict, temperature.says) == (Verdict.PASS, "tj-thermal 52 degrees Celsius")
    (board / "thermal_zone1/temp").write_text("91000\n")
    _, temperature = jetson.jetson(board)
    assert temperature.verdict is Verdict.WARN
    (board / "model").write_text("a workstation")
    assert list(jetson.jetson(board)) == []


def test_a_c_echo_says_whether_an_archive_answers_and_takes_our_name() -> None:
    """By pynetdicom at both ends, as the intake has it."""
    pynetdicom = pytest.importorskip("pynetdicom")
    entity = pynetdicom.AE(ae_title="ARCHIVE")
    entity.add_supported_context("1.2.840.10008.1.1")
    entity.require_calling_aet = ["FEDFIN"]
    entity.require_called_aet = True
    server = entity.start_server(("127.0.0.1", 0), block=False)
    port = server.socket.getsockname()[1]
    try:
        place = archive_at(f"ARCHIVE@127.0.0.1:{port}")
        well, unknown = archive(place, calling="FEDFIN"), archive(place, calling="OTHER")
        way_in = intake._dicom(DicomListener(callers=("FEDFIN",), port=port, ae_title="ARCHIVE"), Path())
    finally:
        server.shutdown()
    away = echo("archive answers", "127.0.0.1", port, calling="FEDFIN", called="ARCHIVE", remedy="look")
    assert [each.verdict for each in (well, way_in, unknown, away)] == [Verdict.PASS] * 2 + [Verdict.FAIL] * 2
    assert "does not take OTHER" in unknown.says
    assert "know the AE title OTHER" in unknown.remedy
    assert "does not answer" in away.says
    assert threading.active_count() < 20


def test_an_archive_s_place_is_written_as_people_write_it() -> None:
    """Anything else is a plain error."""
    for wrong in (
        "",
        "ARCHIVE",
        "pacs.example:104",
        "A@B",
        "A@b:x",
        "A@b:0",
        "A@b:99999",
        "sixteen and one @b:104",
    ):
        with pytest.raises(SettingsError, match="write AE@HOST:PORT"):
            archive_at(wrong)
    assert archive_at("MY ARCHIVE@[::1]:104").host == "[::1]"


@pytest.mark.parametrize("options", [("--pacs", "A@b:99999"), ("--calling", "A TITLE OF SEVENTEEN")])
def test_a_wrong_option_is_refused_before_anything_is_asked(
    tmp_path: Path, options: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after a minute of checks."""
    assert main(["edge", "doctor", str(tmp_path), *options]) == 3
    shown = capsys.readouterr()
    assert (shown.out, " ".join(options) in shown.err) == ("", True)


def test_an_archive_whose_host_has_no_address_is_a_finding_among_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are not lost; a folder without site.toml fails first."""
    pytest.importorskip("pynetdicom")
    assert (
        main(["edge", "doctor", str(tmp_path), "--pacs", "ARCHIVE@pacs.nowhere.invalid:104", "--json"]) == 3
    )
    found = {each["probe"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["site.toml"]["verdict"] == Verdict.FAIL
    assert found["archive answers"]["verdict"] == Verdict.FAIL
    assert "ARCHIVE at pacs.nowhere.invalid:104 cannot be asked (" in found["archive answers"]["says"]
    assert found["archive answers"]["remedy"].startswith("correct AE title, host and port")


def test_a_title_that_dicom_does_not_have_is_a_finding() -> None:
    """It has ASCII alone."""
    pytest.importorskip("pynetdicom")
    found = echo("archive answers", "127.0.0.1", 9, calling="RÖNTGEN", called="ARCHIVE", remedy="look")
    assert (found.failed, "cannot be asked (" in found.says) == (True, True)


def test_a_site_without_an_intake_says_so_and_sources_are_asked_where_they_are() -> None:
    """A server of another kind at the port is not the intake's."""
    site = SimpleNamespace(settings=SimpleNamespace(intake=None), folder=Path())
    (none,) = intake.intake(site)  # type: ignore[arg-type]
    assert none.verdict is Verdict.NOT_REACHED
    web = Fhir(url="http://127.0.0.1:9/fhir")
    given = {
        "dicom": None,
        "archive": None,
        "hl7": SimpleNamespace(address="", port=9),
        "dicomweb": None,
        "fhir": web,
        "fhir_export": None,
        "resources": Resources(),
    }
    settings = SimpleNamespace(**given, folder=Folder(path="away"), labels=None)
    found = list(intake.intake(SimpleNamespace(settings=SimpleNamespace(intake=settings), folder=Path())))  # type: ignore[arg-type]
    assert [each.probe for each in found] == ["reports (HL7)", "reports (FHIR)", "watched folder"]
    assert {each.verdict for each in found} == {Verdict.FAIL}
    assert all(each.remedy for each in found)
