"""The intake as a service: what cannot be done now holds up nothing else, and is done later."""

import os
import signal

from edge_sites import INIT, edge
from intake_kit import Silent, case_id, cases_of, make_site, open_service, studies

from fedfin.command_line.main import main
from fedfin.errors import LinkError
from fedfin.service.notify import Manager
from fedfin_edge.cases.workers import Workers
from fedfin_edge.intake import encoders, service, source
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.source import Polled

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
    assert hear.heard[-1] == ("absorbed", {"taken": 1, "left_out": 0, "waiting": 0})


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
