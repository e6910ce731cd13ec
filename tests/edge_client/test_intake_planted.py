"""Nothing of a patient is in what the intake writes outside of its spool, and the spool is empty in the end."""

import os
import random
import subprocess
import sys
import time

import pytest
from intake_kit import RULE, Study, make_site, open_service, oru, send_hl7, take, two_ports
from test_intake_dicom import need_dcmtk, run

from fedfin.command_line.main import main
from fedfin.demo.processes import wait_for_port

SYLLABLES = ("bar", "len", "dov", "mik", "tas", "run", "vel", "hos", "gri", "pak", "zul", "wem")


@pytest.fixture(scope="module")
def planted():
    """40 patients with 5 planted words each: name, id, accession number, date of birth and a phrase of the report."""
    draw = random.Random(24)

    def word():
        return "".join(draw.sample(SYLLABLES, 4))

    people = []
    for number in range(40):
        name, phrase = f"{word().title()}^{word().title()}", f"{word()} {word()} of the {word()}"
        born = f"19{draw.randint(10, 99)}0{draw.randint(1, 9)}{draw.randint(10, 28)}"
        study = Study(number, f"{draw.randint(10**9, 10**10)}", f"{draw.randint(10**8, 10**9)}X", name)
        people.append((study, born, phrase))
    words = [
        each
        for study, born, phrase in people
        for each in (study.name, study.accession, study.patient, born, phrase)
    ]
    assert len(set(words)) == 200
    return people, words


def everything(folder, *outputs):
    """Names and bytes of all files, and what was printed."""
    files = sorted(folder.rglob("*"))
    return b"\n".join(
        [
            *(str(path.relative_to(folder)).encode() for path in files),
            *(p.read_bytes() for p in files if p.is_file()),
            *outputs,
        ]
    )


def hits(words, content):
    """Planted words that are there; of a name also each of its parts, in any case."""
    folded = content.lower()
    return [part for word in words for part in word.lower().split("^") if part.encode() in folded]


@need_dcmtk
def test_none_of_two_hundred_planted_words_is_in_anything_that_was_written(
    tmp_path, bundles, planted, capsys
):
    people, words = planted
    dicom, hl7 = two_ports()
    section = f"{RULE}\n[intake.hl7]\nport = {hl7}\n[intake.dicom]\nport = {dicom}\n"
    section += f'[intake.folder]\npath = "{tmp_path / "incoming"}"\nevery = 1\n'
    site = make_site(tmp_path / "site", bundles, section)
    files = tmp_path / "archive"
    files.mkdir()
    put_named(tmp_path / "incoming", people)
    messages = []
    for study, born, phrase in people:
        odd = {"PatientBirthDate": born, "StudyDate": born}
        damaged = {"BodyPartExamined": study.name[:16], "Rows": 9000} if study.number % 5 == 0 else {}
        (files / f"{study.number}").write_bytes(study.view(**(odd | damaged)))
        (files / f"{study.number}L").write_bytes(study.view("LL", **odd))
        messages += [
            oru(study, phrase, minute=1).replace(b"19450508", born.encode()),
            oru(study, f"{phrase} corrected", minute=5, status="C"),
            oru(study, phrase, minute=1).replace(b"ORU^R01", b"ADT^A01"),
            oru(study, phrase, minute=1).replace(study.accession.encode(), b""),
            oru(study, phrase, minute=1).replace(b"20260102", study.name.encode()),
            phrase.encode(),
        ]
    log = tmp_path / "site" / "events.log"
    command = [sys.executable, "-m", "fedfin", "edge", "intake", str(site.folder), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as service:
        try:
            wait_for_port("127.0.0.1", dicom, 30)
            wait_for_port("127.0.0.1", hl7, 30)
            run("storescu", site, "+sd", files=[files])
            assert set(send_hl7(hl7, messages)) == {"AA", "AR", "AE"}
            wait_for(lambda: '"source": "folder"' in log.read_text())
            wait_for(lambda: not any((site.intake_path / "spool").glob("[0-9]*")))
        finally:
            service.terminate()
        printed = service.stdout.read()
    capsys.readouterr()
    for words_of_command in (
        ("intake", site.folder, "--show"),
        ("intake", site.folder, "--dry-run", files),
        ("encode", site.folder, "--processes", 1),
        ("forget", site.folder, people[1][0].accession),
        ("support", site.folder, "--out", site.folder / "support.txt", "--log", log, "--yes"),
    ):
        assert main(["edge", *map(str, words_of_command)]) == 0
    for command in ("status", "doctor"):  # nothing is at work any more
        assert main(["edge", command, str(site.folder)]) != 0
    said = capsys.readouterr()
    content = everything(site.folder, printed, said.out.encode(), said.err.encode())
    assert b"forgotten: 2 images and 1 reports" in content
    assert b"intake: not at work" in content
    assert b"watched folder" in content
    assert b"absorbed" in content
    assert hits(words, content) == []


def put_named(folder, people):
    """A view and an odd file of each, in files and folders called as the patient; all have come to rest."""
    for study, _, phrase in people:
        own = folder / f"{study.name} {study.patient}"
        own.mkdir(parents=True)
        (own / f"{study.accession}.dcm").write_bytes(study.view("AP"))
        (own / f"{study.accession}.hl7").write_text(phrase)
        for path in own.iterdir():
            os.utime(path, (1_700_000_000, 1_700_000_000))


def wait_for(is_so):
    """Until it is so."""
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_the_search_finds_what_is_there(tmp_path, bundles, planted):
    """While it waits in the spool, everything is found."""
    people, words = planted
    site = make_site(tmp_path / "site", bundles)
    with open_service(site) as service:
        for study, born, _ in people:
            service._reception.take_object(study.view(PatientBirthDate=born))
        found = hits(words, everything(site.folder))
        assert len(found) == 5 * 40  # two parts of each name, and all but the phrases
    take(site)
    assert hits(words, everything(site.folder)) == []
