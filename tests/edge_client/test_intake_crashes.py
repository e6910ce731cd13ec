"""SIGKILL of the intake at any instant: what was acknowledged is there, once, and nothing else is."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from intake_kit import (
    RULE,
    cases_of,
    encode_text,
    make_site,
    open_service,
    oru,
    send_hl7,
    studies,
    take,
    two_ports,
)
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation

from fedfin.demo.processes import wait_for_port
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.mllp import Mllp
from fedfin_edge.intake_settings import Listener
from fedfin_edge.site import open_site

ONE, TWO, THREE = studies(3)
BEFORE = ([ONE.view(), TWO.view()], [oru(ONE, "clear", minute=1), oru(TWO, "clear lungs", minute=1)])
# A replaced image, a new one, a correction, a withdrawal, a new report.
WORK = [
    ONE.view(seed=50),
    THREE.view(),
    oru(ONE, "effusion", minute=5, status="C"),
    oru(TWO, "", minute=5, status="X"),
    oru(THREE, "lungs", minute=1),
]
# What changes the disk: every n-th of these calls is an instant to be killed at, before and after.
_POSIX = {"fsync", "replace", "rename", "unlink", "open"}
_SQL = {"execute", "executemany"}


class Instants:
    """Kills this process at one of the calls that change the disk; counts them when it is told to kill at none."""

    def __init__(self, fatal: int | None) -> None:
        self.passed = 0
        self._fatal = fatal

    def __call__(self, _, event: str, function: object) -> None:
        """A profile function (sys.setprofile)."""
        if event not in {"c_call", "c_return"} or not _changes_the_disk(function):
            return
        self.passed += 1
        if self.passed == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def _changes_the_disk(function) -> bool:
    owner = getattr(function, "__self__", None)
    name = function.__name__
    return (getattr(owner, "__name__", "") == "posix" and name in _POSIX) or (
        isinstance(owner, sqlite3.Connection) and name in _SQL
    )


def work_in_a_process(folder, todo: list[int], fatal: int | None) -> tuple[set[int], int]:
    """Take these of WORK as servers do, and absorb them, in a child that is killed there.

    Returns what was acknowledged, and how many instants there were (0 if it was killed).
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _work(folder, todo, fatal, writer)
    os.close(writer)
    with os.fdopen(reader) as lines:
        words = [line.split() for line in lines]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == (fatal is not None)
    return {int(word) for kind, word in words if kind == "safe"}, next(
        (int(w) for k, w in words if k == "passed"), 0
    )


def _work(folder, todo, fatal, writer) -> None:
    site = open_site(folder)
    instants = Instants(fatal)
    sys.setprofile(instants)
    with open_service(site) as service:
        mllp = Mllp(Listener(port=1), service._folder.settings.oru, site.folder, service._reception)
        for number in todo:
            answer = mllp.answer(WORK[number]) if WORK[number].startswith(b"MSH") else None
            assert b"|AA|" in answer if answer else service._reception.take_object(WORK[number]).rule == 0
            os.write(writer, f"safe {number}\n".encode())
        service.once()
    sys.setprofile(None)
    os.write(writer, f"passed {instants.passed}\n".encode())
    os._exit(0)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, bundles):
    """A site that has a past, what it holds once WORK is done, and how many instants that has."""
    folder = tmp_path_factory.mktemp("hospital")
    site = make_site(folder / "site", bundles)
    take(site, *BEFORE)
    shutil.copytree(site.folder, folder / "done")
    safe, instants = work_in_a_process(folder / "done", list(range(len(WORK))), None)
    assert safe == set(range(len(WORK)))
    return folder, contents(folder / "done"), instants


def contents(folder):
    """All that a site holds: records and vectors."""
    site = open_site(folder)
    assert not list((site.intake_path / "spool").iterdir())
    with open_intake(site).open_store() as store, FeatureStore(site.features_path) as features:
        vectors = sorted(features._database.execute("SELECT * FROM features"))
        return store.images(), store.reports(), store.labels(), vectors


def check_instant(hospital, instant: int) -> None:
    """Killed there, and started again; its senders send again what has no answer."""
    folder, wanted, _ = hospital
    shutil.copytree(folder / "site", folder / "killed")
    try:
        safe, _ = work_in_a_process(folder / "killed", list(range(len(WORK))), instant)
        work_in_a_process(folder / "killed", [n for n in range(len(WORK)) if n not in safe], None)
        assert contents(folder / "killed") == wanted
    finally:
        shutil.rmtree(folder / "killed")


def test_killed_at_some_instants_it_ends_as_if_nothing_had_happened(hospital):
    instants = hospital[2]
    assert instants > 100
    for instant in range(1, instants, instants // 8):
        check_instant(hospital, instant)


@pytest.mark.slow
def test_killed_at_any_instant_it_ends_as_if_nothing_had_happened(hospital):
    for instant in range(1, hospital[2] + 1):
        check_instant(hospital, instant)


def test_what_a_site_holds_differs_when_anything_is_lost(hospital):
    """The comparison is not blind: without one of WORK it fails."""
    folder, wanted, _ = hospital
    for left_out in range(len(WORK)):
        shutil.copytree(folder / "site", folder / "less")
        work_in_a_process(folder / "less", [n for n in range(len(WORK)) if n != left_out], None)
        assert contents(folder / "less") != wanted
        shutil.rmtree(folder / "less")


@pytest.mark.slow
def test_a_service_that_is_killed_again_and_again_while_all_is_sent_has_every_case_once(tmp_path, bundles):
    """The real command over the network; senders that try until they have an answer."""
    dicom, hl7 = two_ports()
    section = f"{RULE}\n[intake.hl7]\nport = {hl7}\n[intake.dicom]\nport = {dicom}\n"
    site = make_site(tmp_path / "site", bundles, section)
    every = studies(150)
    senders = [threading.Thread(target=send_images, args=(dicom, every))]
    senders.append(threading.Thread(target=send_reports, args=(hl7, every)))
    command = [sys.executable, "-m", "fedfin", "edge", "intake", str(site.folder), "--processes", "0"]
    draw, kills = random.Random(5), 0
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
            wait_for_port("127.0.0.1", dicom, 60)
            with suppress(subprocess.TimeoutExpired):
                service.wait(draw.uniform(0.05, 1.5) if kills < 12 else 120)
            service.kill()
        kills += 1
    subprocess.run([*command, "--once"], check=True, capture_output=True)
    cases = cases_of(site)
    assert kills > 5
    assert len(cases) == len(every)
    text = encode_text(bundles["text"], "effusion")
    assert {features["text"] for _, features, _ in cases.values()} == {text}
    assert len({features["image"] for _, features, _ in cases.values()}) > 100


def send_images(port: int, every) -> None:
    """Each until it has Success."""
    entity = AE(ae_title="PACS")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation)
    todo = [study.view() for study in every]
    while todo:
        association = entity.associate("127.0.0.1", port, ae_title="FEDFIN")
        while association.is_established and todo:
            with suppress(Exception):
                if association.send_c_store(as_dataset(todo[-1])).get("Status") == 0:
                    todo.pop()
        if association.is_established:
            association.release()
        time.sleep(0.1)


def as_dataset(data: bytes):
    """Of pydicom."""
    import io

    return dcmread(io.BytesIO(data))


def send_reports(port: int, every) -> None:
    """A report and its correction, each until it has AA."""
    messages = [oru(study, "clear", minute=1) for study in every]
    messages += [oru(study, "effusion", minute=5, status="C") for study in every]
    while messages:
        try:
            if send_hl7(port, messages[-1:], timeout=5) == ["AA"]:
                messages.pop()
        except (OSError, IndexError):
            time.sleep(0.1)
