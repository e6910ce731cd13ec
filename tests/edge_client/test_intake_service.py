"""The intake as a service: what cannot be done now holds up nothing else, and is done later."""

import io
import os
import signal
import socket
import time
from typing import NoReturn

import onnxruntime
import pytest
from edge_sites import INIT, edge
from intake_kit import RULE, Silent, case_id, cases_of, make_site, open_service, oru, studies
from pydicom import Dataset, dcmread

from fedfin.command_line.main import main
from fedfin.errors import LinkError, SettingsError
from fedfin.service.notify import Manager
from fedfin_edge.cases.workers import Workers
from fedfin_edge.doctor.encoders import encoders as doctor_encoders
from fedfin_edge.intake import encoders, service, source
from fedfin_edge.intake.dicomweb_poll import DicomwebPoll
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.http_session import open_session
from fedfin_edge.intake.mllp import Mllp
from fedfin_edge.intake.source import Polled
from fedfin_edge.intake.storage_scp import FAILED, StorageScp
from fedfin_edge.intake_settings import DicomListener, Dicomweb, Listener
from fedfin_edge.site import open_site

ONE, TWO, THREE = studies(3)


class Fragile(Workers):
    """Its processes are ended from outside as soon as they have got the first file of the spool."""

    def _give(self, number: int, message: bytes) -> bool:
        given = super()._give(number, message)
        if b"000000000001.dicom" in message:
            for process in self._workers.values():
                os.kill(process.pid, signal.SIGKILL)
        return given


def test_an_image_that_ends_the_process_that_reads_it_is_set_aside_and_tried_again_at_the_next_start(
    tmp_path, bundles, monkeypatch
):
    site = make_site(tmp_path / "site", bundles)
    with monkeypatch.context() as patched:
        patched.setattr(encoders, "Workers", Fragile)
        with service.Service(
            site, open_intake(site, make=True), Silent(), processes=1, manager=Manager()
        ) as working:
            for study in (ONE, TWO, THREE):
                working._reception.take_object(study.view())
            working.once()
    assert sorted(cases_of(site)) == sorted(case_id(site, each.accession) for each in (TWO, THREE))
    with open_service(site) as working:
        working.once()
    assert len(cases_of(site)) == 3


@pytest.mark.parametrize("processes", [0, 1])
def test_the_providers_of_site_toml_count_for_the_intake_and_for_the_doctor(tmp_path, bundles, processes):
    """One that is not on this machine is named, and what waits stays in the spool."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has a GPU")
    settings = make_site(tmp_path / "site", bundles).folder / "site.toml"
    settings.write_text('providers = "cuda"\n' + settings.read_text())
    site = open_site(settings.parent)
    folder = open_intake(site, make=True)
    with service.Service(site, folder, Silent(), processes=processes, manager=Manager()) as working:
        working._reception.take_object(ONE.view())
        with pytest.raises(SettingsError, match='providers = "cuda"'):
            working.once()
        assert len(working._spool) == 1
    assert all('providers = "cuda"' in finding.says for finding in doctor_encoders(site))


def test_while_a_bundle_is_missing_nothing_is_lost_and_work_goes_on_when_it_is_back(
    tmp_path, bundles, monkeypatch
):
    monkeypatch.setattr(service, "RETRY_S", 0.01)
    site = make_site(tmp_path / "site", bundles)
    hear = Silent()
    with open_service(site, hear) as working:
        working._reception.take_object(ONE.view())
        manifest = bundles["image"] / "manifest.json"
        manifest.rename(bundles["image"] / "away")
        assert working._work()
        (bundles["image"] / "away").rename(manifest)
        assert [event for event, _ in hear.heard] == ["held-up"]
        assert working._work()
    assert hear.heard[-1] == ("absorbed", {"taken": 1, "withdrawn": 0, "left_out": 0, "waiting": 0})


def test_a_withdrawal_is_told_as_one_and_nothing_was_left_out(tmp_path, bundles):
    site, hear = make_site(tmp_path / "site", bundles), Silent()
    with open_service(site, hear) as working:
        server = Mllp(Listener(port=1), working._folder.settings.oru, site.folder, working._reception)
        server.answer(oru(ONE, "clear", minute=1))
        server.answer(oru(ONE, "", minute=2, status="X"))
        working.once()
    assert hear.heard[-1] == ("absorbed", {"taken": 1, "withdrawn": 1, "left_out": 0, "waiting": 0})


def test_a_source_that_fails_is_tried_again_and_says_why():
    answers = iter([LinkError("no"), 3])
    hear = Silent()

    def poll() -> int:
        answer = next(answers, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Polled("archive", poll, every=0.01, report=hear) as source:
        source._thread.join(0.5)
    assert hear.heard[:2] == [
        ("source-failed", {"source": "archive", "reason": "no"}),
        ("polled", {"source": "archive", "found": 3}),
    ]


def test_a_source_that_is_polled_seldom_is_tried_again_soon_after_a_failure(monkeypatch):
    monkeypatch.setattr(source, "_FIRST_S", 0.005)
    hear = Silent()
    answers = iter([LinkError("no"), LinkError("no"), 3])

    def poll() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Polled("export", poll, every=3600, report=hear) as export:
        export._thread.join(0.5)
    assert [event for event, _ in hear.heard] == ["source-failed", "source-failed", "polled"]


class Ended(service.Service):
    """By SIGTERM, once its sources ask."""

    def _work_on(self) -> NoReturn:
        time.sleep(0.5)
        raise KeyboardInterrupt


def test_servers_that_do_not_answer_are_waited_for_together_at_the_end(tmp_path, bundles):
    """Systemd gives ten seconds for all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f'url = "http://127.0.0.1:{silent.getsockname()[1]}/"\n'
        web = "".join(f"[intake.{name}]\n{url}" for name in ("dicomweb", "fhir", "fhir_export"))
        site = make_site(tmp_path / "site", bundles, f"{RULE}\n{web}")
        working = Ended(site, open_intake(site, make=True), Silent(), processes=0, manager=Manager())
        with pytest.raises(KeyboardInterrupt):
            serve_timed(working, ended := [])
    assert source.END_S * 0.9 < ended[0] < source.END_S * 2


def serve_timed(working, ended) -> None:
    """Until it is interrupted; the seconds that its end took."""
    try:
        with working:
            try:
                working.serve()
            finally:
                begun = time.monotonic()
    finally:
        ended.append(time.monotonic() - begun)


def test_at_rest_the_encoders_processes_are_gone(tmp_path, bundles):
    site = make_site(tmp_path / "site", bundles)
    with service.Service(
        site, open_intake(site, make=True), Silent(), processes=1, manager=Manager()
    ) as working:
        working._reception.take_object(ONE.view())
        working.once()
        (workers,) = working._encoders._open.values()
        (process,) = workers._workers.values()
        assert process.is_alive()
        working._encoders.close()
        assert not process.is_alive()


def test_a_new_site_that_names_no_source_yet_is_refused_with_what_to_uncomment(tmp_path, bundles, capsys):
    folder = tmp_path / "site"
    assert edge("init", folder, *INIT, "--intake", "--bundle", bundles["image"], "--label", "mass") == 0
    assert main(["edge", "intake", str(folder)]) == 3
    assert "names no source; uncomment [intake.dicom]" in capsys.readouterr().err
    assert not (folder / "intake").exists()
    settings = folder / "site.toml"
    written = settings.read_text()
    settings.write_text(
        written.replace("# [intake.hl7]", "[intake.hl7]").replace("# port = 2575", "port = 2575")
    )
    assert main(["edge", "intake", str(folder), "--once"]) == 0


def test_a_source_that_fails_by_a_defect_is_tried_again_and_quotes_no_file_of_a_patient():
    failures = iter([PermissionError(13, "Permission denied", "/in/DOE^JOHN 4711.dcm")])
    hear = Silent()

    def poll() -> int:
        for failure in failures:
            raise failure
        return 3

    with Polled("folder", poll, every=0.01, report=hear) as source:
        source._thread.join(0.5)
    (failed, told), polled = hear.heard[:2]
    assert (failed, told["reason"].partition(";")[0]) == ("source-failed", "failed by PermissionError")
    assert polled == ("polled", {"source": "folder", "found": 3})


def test_a_ca_that_cannot_be_read_is_named_at_the_start(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.pem: cannot read this CA"):
        open_session(Dicomweb(url="https://archive.example", ca="nowhere.pem"), tmp_path)
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"empty\.pem: cannot read this CA"):
        open_session(Dicomweb(url="https://archive.example", ca="empty.pem"), tmp_path)


class OddArchive:
    """An archive of one study, the first of whose objects is no DICOM JSON."""

    def search_for_studies(self, **_: object) -> list[dict]:
        """The study."""
        return [{"0020000D": {"vr": "UI", "Value": [ONE.uid]}}]

    def retrieve_study_metadata(self, _: str) -> list[dict]:
        """Of two objects."""
        good = dcmread(io.BytesIO(ONE.view())).to_json_dict()
        return [{"00280010": {"vr": "US", "Value": "many"}, "00080018": {"vr": "UI", "Value": ["1.2"]}}, good]

    def retrieve_instance(self, *_: str, **__: object) -> Dataset:
        """The good one."""
        return dcmread(io.BytesIO(ONE.view()))


def test_one_odd_object_of_an_archive_is_left_out_and_the_rest_is_taken(tmp_path, bundles):
    site = make_site(tmp_path / "site", bundles)
    with open_service(site) as working:
        settings = Dicomweb(url="https://archive.example")
        source = DicomwebPoll(settings, site.folder, working._folder, working._reception, working._store)
        source._client = OddArchive()
        assert source.poll() == 1
        assert working._store.counts()["image: is not readable as DICOM"] == 1


class Archive:
    """An archive of one study of one object."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def search_for_studies(self, **_: object) -> list[dict]:
        """The study, with what QIDO-RS says of each (PS3.18 10.6.3.3.1)."""
        found = dcmread(io.BytesIO(self.data)).to_json_dict()
        said = {tag: found[tag] for tag in ("0020000D", "00080050", "00100020")}
        return [said | {"00201208": {"vr": "IS", "Value": [1]}}]

    def retrieve_study_metadata(self, _: str) -> list[dict]:
        """Of the object."""
        return [dcmread(io.BytesIO(self.data)).to_json_dict()]

    def retrieve_instance(self, *_: str, **__: object) -> Dataset:
        """The object."""
        return dcmread(io.BytesIO(self.data))


@pytest.mark.parametrize("corrected", [{"AccessionNumber": "ACC9"}, {"PatientID": "PID9"}])
def test_a_study_whose_accession_number_or_patient_an_archive_has_corrected_is_taken_anew(
    tmp_path, bundles, corrected
):
    site, archive = make_site(tmp_path / "site", bundles), Archive(ONE.view())
    with open_service(site) as working:
        settings = Dicomweb(url="https://archive.example")
        source = DicomwebPoll(settings, site.folder, working._folder, working._reception, working._store)
        source._client = archive
        working.once()  # a first start forgets what was seen by other settings
        assert [source.poll(), source.poll()] == [1, 0]
        working.once()
        archive.data = ONE.view(**corrected)
        assert [source.poll(), source.poll()] == [1, 0]
        working.once()
        (image,) = working._store.images()
        identity = working._folder.identity
    given = {"AccessionNumber": ONE.accession, "PatientID": ONE.patient} | corrected
    assert image.accession == identity.hash("accession", given["AccessionNumber"])
    assert image.patient == identity.hash("patient", given["PatientID"])


def _fail(*_: object) -> None:
    raise TypeError


def test_what_fails_by_a_defect_of_ours_is_answered_and_counted(tmp_path, bundles, monkeypatch):
    site = make_site(tmp_path / "site", bundles)
    with open_service(site) as working:
        reception = working._reception
        scp = StorageScp(DicomListener(port=1), site.folder, reception, Silent())
        mllp = Mllp(Listener(port=1), working._folder.settings.oru, site.folder, reception)
        monkeypatch.setattr(reception, "take_report", _fail)
        monkeypatch.setattr(reception, "take_object", _fail)
        assert b"|AE|" in mllp.answer(oru(ONE, "clear", minute=1))
        assert scp._store(Stored(ONE.view())) == FAILED
        assert working._store.counts() == {"image: FedFIN failed": 1, "report: FedFIN failed": 1}


class Stored:
    """What pynetdicom hands over of one C-STORE."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def encoded_dataset(self) -> bytes:
        """The object."""
        return self._data


def test_a_source_in_which_nothing_new_is_found_takes_a_fiftieth_of_a_processor_at_most():
    """As a folder with many files that stay."""
    polls = []

    def poll() -> int:
        polls.append(1)
        begun = time.thread_time()
        while time.thread_time() - begun < 0.05:
            pass
        return 0

    with Polled("folder", poll, every=0.01, report=Silent()):
        time.sleep(0.6)
    assert len(polls) == 1
