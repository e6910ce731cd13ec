"""A full disk and a full queue: refused in the words that senders know, nothing lost, and again when there is room."""

import contextlib
import os
import subprocess

import pytest
from intake_kit import RULE, Silent, Study, case_id, cases_of, make_site, open_service, oru, studies

from fedfin.command_line.main import main
from fedfin.errors import StateError
from fedfin_edge.intake import spool
from fedfin_edge.intake.mllp import Mllp
from fedfin_edge.intake.spool import FullError, Spool, all_spooled
from fedfin_edge.intake.watermarks import Watermarks
from fedfin_edge.intake_settings import Listener

ONE, TWO, THREE = studies(3)


def test_a_queue_that_was_full_accepts_again_only_when_a_tenth_is_done(tmp_path):
    marks = Watermarks(tmp_path, most_queued=100, least_free_mb=0)
    assert [bool(marks.reason(queued, 1)) for queued in (99, 100, 99, 90, 89, 99, 100)] == [
        False, True, True, True, False, False, True,
    ]  # fmt: skip


def test_a_long_queue_is_listed_once_and_each_file_comes_in_its_turn(tmp_path, monkeypatch):
    queue = Spool(tmp_path, most_queued=100, least_free_mb=0)
    for number in range(20):
        queue.put("report", bytes([number]))
    listed = []
    monkeypatch.setattr(spool, "all_spooled", lambda folder: listed.append(1) or all_spooled(folder))
    first = queue.upcoming(4)
    assert first == queue.upcoming(4)  # nothing is done yet
    first[0].unlink()  # forgotten, by another process
    queue.set_aside(first[1])
    taken = []
    while batch := queue.upcoming(4):
        taken += [path.read_bytes()[0] for path in batch]
        queue.remove(batch)
    assert (taken, len(queue), len(listed)) == (list(range(2, 20)), 0, 2)


def test_a_disk_below_its_mark_refuses_before_anything_is_written(tmp_path):
    spool = Spool(tmp_path / "spool", most_queued=10, least_free_mb=10**9)
    with pytest.raises(FullError, match="the disk is full"):
        spool.put("dicom", b"1")
    assert not list((tmp_path / "spool").iterdir())


def test_want_of_room_is_told_once_here_too_and_so_is_its_end(tmp_path, bundles):
    site = make_site(tmp_path / "site", bundles)
    hear = Silent()
    with open_service(site, hear) as service:
        service._reception.take_object(ONE.view())
        service._spool._marks._most = 1
        with pytest.raises(FullError):
            service._reception.take_object(TWO.view())
        for _ in range(2):
            service._work()
    assert [each for each in hear.heard if each[0] != "absorbed"] == [
        ("refusing", {"reason": "the queue is full", "waiting": 1}),
        ("accepting", {"waiting": 0}),
    ]


def test_a_spool_that_cannot_be_written_refuses_until_it_was_written_again(tmp_path, monkeypatch):
    spool = Spool(tmp_path / "spool", most_queued=10, least_free_mb=0)
    with monkeypatch.context() as patched:
        patched.setattr("fedfin_edge.intake.spool.write_atomically", _fails)
        with pytest.raises(FullError):
            spool.put("dicom", b"1")
    assert spool.refusal() == "the spool cannot be written"
    spool.put("dicom", b"1")
    assert spool.refusal() == ""


def _fails(*_: object) -> None:
    raise StateError("no space")


def test_show_says_that_nothing_is_accepted(tmp_path, bundles, capsys):
    site = make_site(tmp_path / "site", bundles)
    with open_service(site):
        pass
    settings = site.folder / "site.toml"
    for least, refused in (("1", False), ("900000000", True)):
        settings.write_text(settings.read_text().replace("least_free_mb = 1\n", f"least_free_mb = {least}\n"))
        assert main(["edge", "intake", str(site.folder), "--show"]) == 0
        assert ("nothing is accepted now: the disk is full" in capsys.readouterr().out) is refused


def watching(tmp_path, bundles):
    """A site that watches the folder `in`, with a queue of two, which is full."""
    (tmp_path / "in").mkdir()
    more = f'\n[intake.folder]\npath = "{tmp_path / "in"}"\n'
    site = make_site(tmp_path / "site", bundles, RULE.replace("[intake]", "[intake]\nmost_queued = 2") + more)
    with open_service(site) as service:
        for study in (ONE, TWO):
            service._reception.take_object(study.view())
    return site


def settled(path, data: bytes) -> None:
    """A file that nobody writes to any more."""
    path.write_bytes(data)
    os.utime(path, (1_700_000_000, 1_700_000_000))


def test_once_makes_room_itself_before_it_polls_and_whenever_the_queue_is_full(tmp_path, bundles):
    site = watching(tmp_path, bundles)
    more = [Study(number, f"ACC{number}", f"PID{number}") for number in range(3, 8)]
    for study in more:
        settled(tmp_path / "in" / f"{study.number}.dcm", study.view())
    assert main(["edge", "intake", str(site.folder), "--once", "--processes", "0"]) == 0
    assert sorted(cases_of(site)) == sorted(case_id(site, each.accession) for each in (ONE, TWO, *more))


def test_once_on_a_full_disk_ends_with_the_remedy(tmp_path, bundles, capsys):
    site = watching(tmp_path, bundles)
    settled(tmp_path / "in" / "3.dcm", THREE.view())
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace("least_free_mb = 1\n", "least_free_mb = 900000000\n"))
    assert main(["edge", "intake", str(site.folder), "--once", "--processes", "0"]) == StateError.exit_code
    assert "spool: the disk is full; make room on its disk, or lower" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_runs_full_refuses_and_recovers_and_what_was_safe_stays_safe(
    tmp_path, bundles, small_disk
):
    """The system's own error, at whatever write it comes."""
    site = make_site(tmp_path / "site", bundles)
    site.intake_path.mkdir(mode=0o700)
    (site.intake_path / "spool").symlink_to(small_disk)
    with open_service(site) as service:
        service._spool._marks._least = -(10**12)  # so that the system's own error is met
        mllp = Mllp(Listener(port=1), service._folder.settings.oru, site.folder, service._reception)
        assert b"|AA|" in mllp.answer(oru(ONE, "clear", minute=1))
        service._reception.take_object(ONE.view())
        fill(small_disk)
        with pytest.raises(FullError, match="cannot be written"):
            service._reception.take_object(THREE.view())
        assert b"|AR|" in mllp.answer(oru(TWO, "clear " * 2000, minute=1))
        assert not list(small_disk.glob(".*"))
        (small_disk / "ballast").unlink()
        service._reception.take_object(TWO.view())
        service.once()
    assert sorted(cases_of(site)) == sorted(case_id(site, each.accession) for each in (ONE, TWO))


def fill(disk) -> None:
    """Another program's file takes all that there is."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass
