"""The intake as a unit of systemd: what it says to it, how it ends, what it may, what moves with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from intake_kit import RULE, Silent, make_site, open_service, studies, two_ports

from fedfin.command_line.main import main
from fedfin.errors import SettingsError
from fedfin.lock import only_process
from fedfin.service.host import Host
from fedfin.service.install import installed
from fedfin.service.notify import Manager
from fedfin.service.unit import AGGREGATOR, EDGE, INTAKE
from fedfin_edge.cases import workers
from fedfin_edge.cases.workers import Workers
from fedfin_edge.intake import encoders
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.permissions import permissions
from fedfin_edge.intake.service import Service
from fedfin_edge.intake_settings import DicomListener, Folder, IntakeSettings, Listener
from fedfin_edge.moving import move_paths
from fedfin_edge.site import open_site

(STUDY,) = studies(1)
SECRETS = """
[intake.dicom]
port = 104
certificate = "../own/dicom.pem"
key = "../own/dicom.key"
ca = "../own/callers.pem"

[intake.archive]
ae_title = "ARCHIVE"
host = "pacs.example"
ca = "../own/archive.pem"

[intake.dicomweb]
url = "https://archive.example/dicom-web"
token_file = "../own/token"

[intake.fhir]
url = "https://fhir.example/r4"
ca = "../own/house.pem"
user = "fedfin"
password_file = "../own/password"

[intake.fhir_export]
url = "https://fhir.example/r4"
token_file = "../own/export-token"

[intake.labels]
table = "labels.csv"
"""


class Prepared(Host):
    """A machine where the services' user has been made."""

    def check(self) -> None:
        """It is root who asks, and systemd runs."""

    def make_user(self) -> None:
        """It is there."""


def status(site, capsys) -> dict:
    """What `edge status` says of the intake."""
    capsys.readouterr()
    main(["edge", "status", str(site.folder), "--json"])
    return json.loads(capsys.readouterr().out)["intake"]


def test_it_tells_systemd_that_it_is_up_alive_and_ends_within_ten_seconds_of_sigterm(
    tmp_path, bundles, capsys
) -> None:
    """An archive that never answers, and a sender that keeps its connection, hold nothing up."""
    port, _ = two_ports()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        archive = f'[intake.dicomweb]\nurl = "http://127.0.0.1:{silent.getsockname()[1]}/"\n'
        site = make_site(tmp_path / "site", bundles, f"{RULE}\n{archive}\n[intake.hl7]\nport = {port}\n")
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        listening = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "1500000"}
        words = ["-m", "fedfin", "edge", "intake", str(site.folder), "--json", "--processes", "0"]
        log = (tmp_path / "log").open("w")
        with (
            log,
            subprocess.Popen([sys.executable, *words], env=os.environ | listening, stdout=log) as intake,
        ):
            try:
                heard = [systemd.recv(4096).decode() for _ in range(4)]
                with closing(socket.create_connection(("127.0.0.1", port))):
                    alive = status(site, capsys)["at_work"]
                    intake.send_signal(signal.SIGTERM)
                    code = intake.wait(10)
            finally:
                intake.kill()
    assert heard == [f"STATUS=listening port {port}", "READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert (alive, code) == (True, 130)
    after = status(site, capsys)
    assert (after["at_work"], after["exit_code"]) == (False, 130)


def test_a_batch_that_takes_long_is_no_silence(tmp_path, bundles, monkeypatch) -> None:
    """Each outcome is a sign of life."""
    site = make_site(tmp_path / "site", bundles)
    beats = []
    with open_service(site) as working:
        monkeypatch.setattr(working._encoders, "_beat", lambda: beats.append(1))
        for study in studies(3):
            working._reception.take_object(study.view())
        working.once()
    assert len(beats) == 3


class Slow(Workers):
    """Its first input takes a second."""

    def _give(self, number: int, message: bytes) -> bool:
        given = super()._give(number, message)
        for process in self._workers.values():
            os.kill(process.pid, signal.SIGSTOP)
            threading.Timer(1.0, os.kill, (process.pid, signal.SIGCONT)).start()
        return given


class Counting(Manager):
    """Counts signs of life."""

    beats = 0

    def beat(self) -> None:
        """One more."""
        self.beats += 1


def test_one_input_that_takes_long_is_no_silence(tmp_path, bundles, monkeypatch) -> None:
    """As the first does while TensorRT builds its engine."""
    monkeypatch.setattr(workers, "BEAT_S", 0.05)
    monkeypatch.setattr(encoders, "Workers", Slow)
    site, manager = make_site(tmp_path / "site", bundles), Counting({})
    with Service(site, open_intake(site, make=True), Silent(), processes=1, manager=manager) as working:
        working._reception.take_object(STUDY.view())
        working.once()
    assert manager.beats > 5  # one is of the outcome


def test_status_has_the_queue_the_last_error_and_a_kill(tmp_path, bundles, capsys) -> None:
    """Before the first start, at work, killed; in words, too. It writes nothing."""
    lost = '[intake.folder]\npath = "gone"\n'
    site = make_site(tmp_path / "site", bundles, f"{RULE}\n{lost}")
    assert status(site, capsys) == {
        "at_work": False, "started": None, "queued": 0, "aside": 0, "refusing": "", "last_error": None,
        "exit_code": None,
    }  # fmt: skip
    assert not site.intake_path.exists()
    began = time.time()
    assert main(["edge", "intake", str(site.folder), "--once"]) == 4
    with open_service(site) as working:
        working._reception.take_object(STUDY.view())
    found = status(site, capsys)
    assert (found["queued"], found["refusing"]) == (1, "")
    assert found["exit_code"] == 4
    assert found["started"] >= began
    assert found["last_error"]["what"].startswith(f"{site.folder}/gone: is not a folder")
    main(["edge", "status", str(site.folder)])
    shown = capsys.readouterr().out
    assert "intake: not at work (ended with exit code 4), started 2" in shown
    assert "; 1 queued, 0 set aside\n  last error: 2" in shown
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace("least_free_mb = 1\n", "least_free_mb = 900000000\n"))
    assert status(site, capsys)["refusing"] == "the disk is full"
    main(["edge", "status", str(site.folder)])
    assert "1 queued, 0 set aside; refuses all senders: the disk is full\n" in capsys.readouterr().out
    with only_process(site.intake_path, "fedfin edge intake"):
        main(["edge", "status", str(site.folder)])
    assert "intake: at work, since 2" in capsys.readouterr().out


def test_a_site_without_an_intake_has_none_in_its_status(maker, capsys) -> None:
    site = maker.site(maker.table([{"patient": "p1", "image": maker.image("1.png", 1), "text": "clear"}]))
    assert status(site, capsys) is None


@pytest.mark.parametrize(("port", "asked"), [(104, True), (1023, True), (1024, False), (11112, False)])
def test_only_a_port_below_1024_asks_for_the_right_to_it(tmp_path: Path, port: int, asked: bool) -> None:
    for settings in (
        IntakeSettings(dicom=DicomListener(port=port)),
        IntakeSettings(dicom=DicomListener(port=11112), hl7=Listener(port=port)),
    ):
        assert ("AmbientCapabilities=CAP_NET_BIND_SERVICE" in permissions(settings, tmp_path)) is asked


def test_a_watched_folder_may_be_written_only_where_what_was_taken_is_removed(tmp_path: Path) -> None:
    """In systemd's quotes; what is in the site's folder is the service's anyway."""
    folder = Folder(path='/srv/in 50%/"new"', remove=True)
    asked = permissions(IntakeSettings(folder=folder), tmp_path)
    assert asked == 'ReadWritePaths="/srv/in 50%%/\\"new\\""\n'
    kept = Folder(path=folder.path)
    inside = Folder(path="incoming", remove=True)
    assert [permissions(IntakeSettings(folder=each), tmp_path) for each in (kept, inside)] == ["", ""]


def test_the_secrets_of_an_intake_move_with_its_site(tmp_path, bundles) -> None:
    """All of them are found where site.toml says then; what is inside already stays as it is."""
    own = tmp_path / "own"
    own.mkdir()
    for line in SECRETS.splitlines():
        if "../own/" in line:
            name = line.rpartition("/")[2].rstrip('"')
            (own / name).write_text(name)
    site = make_site(tmp_path / "site", bundles, RULE + SECRETS)
    settings = site.folder / "site.toml"
    for modality in ("image", "text"):
        (site.folder / modality).symlink_to(bundles[modality])
    written = settings.read_text()
    for modality in ("image", "text"):
        line = next(each for each in written.splitlines() if each.startswith("bundle") and modality in each)
        written = written.replace(line, f'bundle = "{modality}"')
    settings.write_text(written)
    move_paths(Prepared(), open_site(site.folder))
    site = open_site(site.folder.rename(tmp_path / "moved"))
    settings = site.folder / "site.toml"
    assert {path.name: path.read_text() for path in (site.folder / "secrets").iterdir()} == {
        path.name: path.name for path in own.iterdir()
    }
    intake = site.settings.intake
    assert "../own" not in settings.read_text()
    for named in (
        intake.dicom.key,
        intake.dicomweb.token_file,
        intake.fhir_export.token_file,
        intake.fhir.password_file,
    ):
        assert (site.folder / named).read_text() == Path(named).name
    assert intake.labels.table == "labels.csv"
    assert intake.reports == "text"


def test_of_a_folder_that_is_a_services_only_what_its_user_may_read_is_copied(
    tmp_path, bundles, monkeypatch
) -> None:
    """The user could have named any file in site.toml, and root reads all."""
    folder = tmp_path / "var" / "lib" / "fedfin" / "edge" / "st-mary"
    token = tmp_path / "token"
    token.write_text("root's")
    web = f'[intake.dicomweb]\nurl = "https://archive.example/"\ntoken_file = "{token}"\n'
    folder.parent.mkdir(parents=True)
    site = make_site(folder, bundles, f"{RULE}\n{web}")
    monkeypatch.setattr("fedfin_edge.moving.may_read", lambda path: path != token)
    with pytest.raises(SettingsError, match=f"fedfin may not read {token}"):
        move_paths(Prepared(tmp_path), site)
    assert not (folder / "secrets").exists()


def test_a_program_that_services_do_not_see_is_named_before_anything_is_changed(
    tmp_path, bundles, monkeypatch, capsys
) -> None:
    """A second try, once that is mended, finds all as it was."""
    site = make_site(tmp_path / "site", bundles)
    written = (site.folder / "site.toml").read_bytes()
    program = tmp_path / "home" / "fedfin"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setattr("fedfin.service.host.Host", lambda: Prepared(tmp_path))
    assert main(["edge", "service", "install", str(site.folder), "--no-keys"]) == 9
    assert "is in a home folder, which services do not see" in capsys.readouterr().err
    assert (site.folder / "site.toml").read_bytes() == written
    assert not (tmp_path / "etc").exists()


def test_a_folder_has_the_services_that_were_installed_for_it(tmp_path: Path) -> None:
    """Of its group; the first, where none was."""
    host = replace(Host(), root=tmp_path)
    assert installed(host, EDGE, "st-mary") == [EDGE]
    for service in (INTAKE, AGGREGATOR):
        host.options(service, "st-mary").parent.mkdir(parents=True, exist_ok=True)
        host.options(service, "st-mary").touch()
    assert installed(host, EDGE, "st-mary") == [INTAKE]
    host.options(EDGE, "st-mary").touch()
    assert installed(host, EDGE, "st-mary") == [EDGE, INTAKE]
    assert installed(host, EDGE, "st-john") == [EDGE]
