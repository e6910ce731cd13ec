"""The DICOM Storage SCP with dcmtk's storescu and echoscu, and which images count."""

import contextlib
import io
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pydicom
import pytest
from dicom_files import as_bytes
from intake_kit import (
    RULE,
    Silent,
    case_id,
    cases_of,
    encode_image,
    encode_text,
    make_site,
    noise,
    open_service,
    oru,
    send_hl7,
    studies,
    two_ports,
)
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from fedfin.command_line.main import main
from fedfin.demo.processes import wait_for_port
from fedfin.errors import InputError
from fedfin_edge.intake import dry_run, storage_scp
from fedfin_edge.intake.sources import servers

need_dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="needs dcmtk: apt-get install dcmtk")


@pytest.fixture
def site(tmp_path, bundles):
    """A hospital whose intake listens for DICOM and HL7."""
    return listening_site(tmp_path, bundles)


def listening_site(tmp_path, bundles, more=""):
    """`more`: keys of [intake.dicom]."""
    dicom, hl7 = two_ports()
    section = f"{RULE}\n[intake.hl7]\nport = {hl7}\n[intake.dicom]\nport = {dicom}\n{more}"
    return make_site(tmp_path / "site", bundles, section)


@contextlib.contextmanager
def listening(site, hear=None):
    """The servers, in this process; the service."""
    with open_service(site, hear) as service, contextlib.ExitStack() as stack:
        for server in servers(site, service._folder, service._reception, service._report).values():
            stack.enter_context(server)
        yield service


def run(tool, site, *options, files=(), title="FEDFIN", caller="PACS"):
    """A tool of dcmtk against the site; its exit code and what it says."""
    peer = ["127.0.0.1", str(site.settings.intake.dicom.port)]
    command = [tool, "-v", "-aet", caller, "-aec", title, *options, *peer, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@need_dcmtk
def test_echo_is_answered_and_whom_the_settings_do_not_let_in_is_refused_and_told_once(tmp_path, bundles):
    site = listening_site(tmp_path, bundles, 'callers = ["PACS"]\n')
    hear = Silent()
    with listening(site, hear):
        assert run("echoscu", site)[0] == 0
        for _ in range(2):
            assert run("echoscu", site, caller="STRANGER")[0] != 0
        assert run("echoscu", site, title="OTHER")[0] != 0
        until = time.monotonic() + 10
        while len(hear.heard) < 2 and time.monotonic() < until:  # it is told after the caller has its answer
            time.sleep(0.01)
    assert [(event, facts["calling"], facts["called"]) for event, facts in hear.heard] == [
        ("caller-refused", "STRANGER", "FEDFIN"),
        ("caller-refused", "PACS", "OTHER"),
    ]
    assert {facts["address"] for _, facts in hear.heard} == {"127.0.0.1"}


@need_dcmtk
@pytest.mark.parametrize(("syntax", "option"), [(JPEG2000Lossless, "-xv"), (JPEGLSLossless, "-xt")])
def test_compressed_images_are_taken_as_they_come_and_have_the_features_of_their_file(
    site, bundles, tmp_path, syntax, option
):
    (one,) = studies(1)
    path = tmp_path / "one.dcm"
    path.write_bytes(compressed(one.view(), syntax))
    with listening(site) as service:
        code, output = run("storescu", site, option, files=[path])
        assert code == 0, output
        (spooled,) = service._spool.waiting()
        assert dcmread(spooled).file_meta.TransferSyntaxUID == syntax
        service.once()
    ((_, features, _),) = cases_of(site).values()
    assert features["image"] == encode_image(bundles["image"], path.read_bytes(), tmp_path)


def compressed(data, syntax):
    """The file in another transfer syntax."""
    dataset = dcmread(io.BytesIO(data))
    dataset.compress(syntax, noise(0))
    return as_bytes(dataset)


@need_dcmtk
def test_an_object_beyond_the_limit_is_aborted_and_counted_and_the_next_is_taken(site, tmp_path, monkeypatch):
    monkeypatch.setattr(storage_scp, "MAX_OBJECT", 1 << 20)
    (one,) = studies(1)
    small, large = tmp_path / "small.dcm", tmp_path / "large.dcm"
    small.write_bytes(one.view())
    large.write_bytes(one.view(ImageComments="x", Rows=2000, Columns=1000, PixelData=bytes(4_000_000)))
    with listening(site) as service:
        assert run("storescu", site, files=[large])[0] != 0
        assert run("storescu", site, files=[small])[0] == 0
        assert len(service._spool.waiting()) == 1
        assert service._store.counts()["image: is larger than 1 MiB"] == 1


@need_dcmtk
def test_a_full_queue_refuses_with_the_status_for_it_and_takes_again_when_there_is_room(site, tmp_path):
    (one,) = studies(1)
    path = tmp_path / "one.dcm"
    path.write_bytes(one.view())
    with listening(site) as service:
        service._spool._marks._most = 0
        code, output = run("storescu", site, files=[path])
        assert code != 0
        assert "Refused: OutOfResources" in output  # dcmtk's words for 0xA700
        assert len(service._spool.waiting()) == 0
        service._spool._marks._most = 10
        assert run("storescu", site, files=[path])[0] == 0


@need_dcmtk
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_studies_and_their_reports_in_random_order_make_the_right_cases_twice(site, bundles, tmp_path, count):
    """Over the network into the real command, with corrections and cancellations, and all of it sent again."""
    files = tmp_path / "archive"
    files.mkdir()
    every = studies(count)
    messages, expected = [], {}
    for study in every:
        for view in ("PA", "LL"):
            (files / f"{study.number}{view}.dcm").write_bytes(study.view(view))
        kind = study.number % 4
        messages.append(oru(study, "clear lungs", minute=1))
        if kind in (1, 2):
            messages.append(oru(study, "effusion lungs", minute=5, status="C"))
        if kind in (2, 3):
            messages.append(oru(study, "", minute=9, status="X"))
        expected[study] = {0: "clear lungs", 1: "effusion lungs"}.get(kind)
    random.Random(7).shuffle(messages)
    words = ["-m", "fedfin", "edge", "intake", str(site.folder), "--json", "--processes", "0"]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as service:
        try:
            port = site.settings.intake.dicom.port
            wait_for_port("127.0.0.1", port, 30)
            wait_for_port("127.0.0.1", site.settings.intake.hl7.port, 30)
            for _ in range(2):
                assert run("storescu", site, "+sd", files=[files])[0] == 0
                assert set(send_hl7(site.settings.intake.hl7.port, messages)) == {"AA"}
                check_cases(site, bundles, tmp_path, every, expected)
                messages.reverse()
            service.send_signal(signal.SIGTERM)
            assert service.wait(10) == 130
        finally:
            service.kill()
        events = [json.loads(line) for line in service.stdout]
    assert {event["event"] for event in events} == {"listening", "absorbed"}


def test_callers_that_keep_their_association_or_say_nothing_hold_up_no_end(site):
    """Archives keep an association for hours: it is aborted, and the process does not wait for who is silent."""
    port = site.settings.intake.dicom.port
    words = ["-m", "fedfin", "edge", "intake", str(site.folder), "--json", "--processes", "0"]
    entity = AE(ae_title="PACS")
    entity.add_requested_context(Verification)
    with (
        subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL) as service,
        contextlib.ExitStack() as callers,
    ):
        try:
            wait_for_port("127.0.0.1", port, 30)
            kept = entity.associate("127.0.0.1", port, ae_title="FEDFIN")
            assert kept.is_established
            for said in (b"", b"\x01\x00\x00\x00\x10\x00"):  # and half of an A-ASSOCIATE-RQ
                caller = callers.enter_context(socket.create_connection(("127.0.0.1", port)))
                caller.sendall(said)
            assert entity.associate("127.0.0.1", port, ae_title="FEDFIN").is_established  # they are all in
            service.send_signal(signal.SIGTERM)
            assert service.wait(10) == 130
        finally:
            service.kill()
    kept.join(10)
    assert kept.is_aborted


def check_cases(site, bundles, tmp_path, every, expected):
    """When all has been absorbed: the right images and the right texts, with the features that files have."""
    until = time.monotonic() + 120
    while any((site.intake_path / "spool").glob("[0-9]*")):
        assert time.monotonic() < until
        time.sleep(0.1)
    cases = cases_of(site)
    assert len(cases) == len(every)
    texts = {text: encode_text(bundles["text"], text) for text in set(expected.values()) if text}
    for study in every:
        _, features, _ = cases[case_id(site, study.accession)]
        assert features.get("text") == texts.get(expected[study])
        if study.number % 20 == 0:
            assert features["image"] == encode_image(bundles["image"], study.view(), tmp_path)


def test_a_dry_run_says_what_counts_and_why_the_rest_does_not(site, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dry_run, "MAX_OBJECT", 1 << 20)
    one, two, three = studies(3)
    folder = tmp_path / "studies"
    folder.mkdir()
    secondary = "1.2.840.10008.5.1.4.1.1.7"
    for name, data in {
        "a": one.view(),
        "b": one.view("LL"),
        "c": two.view(BurnedInAnnotation="YES"),
        "d": two.view(SOPClassUID=secondary),
        "e": three.view(Modality="CT"),
        "f": three.view(ViewPosition="Doe^Jane"),
        "g": b"no dicom at all",
        "h": b"",
        "i": three.view(PatientID=" "),
        "j": three.view("AP", PatientID=""),
        "k": bytes((1 << 20) + 1),
    }.items():
        (folder / f"Doe_{name}").write_bytes(data)
    assert main(["edge", "intake", str(site.folder), "--dry-run", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["files"], found["studies"]) == (11, 2)
    assert found["taken"] == [{"rule": 1, "modality": "image", "images": 3}]
    assert found["without_patient"] == 2
    assert {(each["reason"], each["value"]): each["images"] for each in found["left_out"]} == {
        ("view position is in no rule", "LL"): 1,
        ("has burned-in annotation", ""): 1,
        ("is a secondary capture", ""): 1,
        ("modality is in no rule", "CT"): 1,
        ("view position is in no rule", "no code"): 1,
        ("is DICOM that does not name its object", ""): 2,
        ("it has more than 1,048,576 bytes", ""): 1,
    }
    assert main(["edge", "intake", str(site.folder), "--dry-run", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "of these without a patient's id: 2; their cases are left out" in shown
    assert "Doe" not in shown
    assert not list(site.intake_path.glob("*"))


def test_burned_in_annotation_and_secondary_captures_are_taken_where_a_rule_allows_them(tmp_path, bundles):
    site = make_site(tmp_path / "site", bundles, f"{RULE}burned_in = true\nsecondary_capture = true\n")
    one, two = studies(2)
    with open_service(site) as service:
        service._reception.take_object(one.view(BurnedInAnnotation="YES"))
        service._reception.take_object(two.view(ConversionType="WSD"))
        assert len(service._spool) == 2


SHARED = Path(__file__).parents[2].parent / "shared" / "cases" / "dicom"
REAL = [
    pytest.param(Path(pydicom.__file__).parent / "data" / "test_files", id="pydicom"),
    pytest.param(
        SHARED, id="shared", marks=pytest.mark.skipif(not SHARED.is_dir(), reason="it is not there")
    ),
]


@pytest.mark.parametrize("folder", REAL)
def test_real_files_of_many_devices_are_taken_or_counted_with_their_reason(tmp_path, bundles, folder):
    site = make_site(
        tmp_path / "site", bundles, '[intake]\nleast_free_mb = 1\n[[intake.take]]\nmodality = "image"\n'
    )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    refused = 0
    with open_service(site) as service:
        for path in files:
            try:
                service._reception.take_object(path.read_bytes())
            except InputError:
                refused += 1
        spooled = service._spool.waiting()
        service.once()
        assert not service._spool.waiting()
        counts = service._store.counts()
    assert len(spooled) > 10
    assert sum(counts.values()) + refused == len(files)
    assert counts["image: taken"] > 10


def test_a_pdu_that_says_it_is_of_4_gib_ends_its_connection_before_it_is_read(site):
    """As the first that is sent, and within an association."""
    header = b"\x01\x00\xff\xff\xff\xff"
    with (
        listening(site),
        socket.create_connection(("127.0.0.1", site.settings.intake.dicom.port), 10) as caller,
    ):
        caller.sendall(header)
        assert caller.recv(1) == b""


def test_a_pdu_that_says_it_is_of_4_gib_ends_its_association(site):
    ended = threading.Event()
    entity = AE(ae_title="PACS")
    entity.add_requested_context(Verification)
    with listening(site):
        association = entity.associate(
            "127.0.0.1",
            site.settings.intake.dicom.port,
            ae_title="FEDFIN",
            evt_handlers=[(evt.EVT_CONN_CLOSE, lambda _: ended.set())],
        )
        assert association.is_established
        association.dul.socket.send(b"\x04\x00\xff\xff\xff\xff")
        assert ended.wait(10)
        assert run_echo(site)


def run_echo(site):
    """Whether another caller is answered."""
    entity = AE(ae_title="PACS")
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", site.settings.intake.dicom.port, ae_title="FEDFIN")
    status = association.send_c_echo()
    association.release()
    return status.Status == 0
