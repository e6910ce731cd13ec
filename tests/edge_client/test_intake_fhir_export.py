"""FHIR Bulk Data: an export is asked for, waited for, read and deleted; what ends it in between loses nothing."""

import json
import os
import shutil
import sqlite3
import sys
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import bulk_server
import pytest
import requests
from bulk_server import BulkServer, outcome
from intake_kit import RULE, Silent, case_id, cases_of, encode_text, make_site, open_service, studies, take
from test_intake_crashes import Instants, contents
from test_intake_fhir import (
    EFFUSION,
    LABELS,
    MASS,
    at,
    coded,
    concept,
    diagnostic_report,
    order,
    patient,
    whole,
)
from test_intake_planted import everything, hits

from fedfin.broker.check.finding import Verdict
from fedfin.errors import LinkError, StateError
from fedfin_edge.doctor import intake as doctor
from fedfin_edge.intake import bulk_server as client
from fedfin_edge.intake import fhir_export
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.forget import forget
from fedfin_edge.intake.source_progress import SourceProgress
from fedfin_edge.intake.sources import polled
from fedfin_edge.intake.spool import FullError, Spool
from fedfin_edge.site import open_site

ONE, TWO, THREE = studies(3)
ELSEWHERE = "http://elsewhere.example"


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """What is waited for between two looks at an export, in seconds; nothing is."""
    waited = []
    monkeypatch.setattr(client.time, "sleep", waited.append)
    return waited


@pytest.fixture
def server():
    """A server with nothing in it."""
    with BulkServer() as server:
        yield server
        server.shutdown()


@pytest.fixture
def site(tmp_path, bundles, server):
    """A site that polls it."""
    return site_with(tmp_path, bundles, server)


def site_with(tmp_path, bundles, server, more="", name="site"):
    """With more keys of the section."""
    (tmp_path / "token").write_text(f"{bulk_server.TOKEN}\n")
    section = f'\n[intake.fhir_export]\nurl = "{server.url}"\ntoken_file = "../token"\n{more}'
    return make_site(tmp_path / name, bundles, RULE + section + LABELS)


def texts(site) -> dict:
    """The features of each case's report."""
    return {name: features.get("text") for name, (_, features, _) in cases_of(site).items()}


def asked(server, method="GET") -> list[str]:
    """Paths, in order."""
    return [path for way, path, _ in server.log if way == method]


def test_an_export_is_asked_for_waited_for_read_and_deleted(site, server, bundles, pauses):
    server.resources = [each(study) for study in (ONE, TWO) for each in (order, patient)]
    server.resources += [
        diagnostic_report(ONE, "effusion", minute=1),
        diagnostic_report(TWO, "clear", minute=2),
        diagnostic_report(THREE, "lungs", minute=3, status="preliminary"),
        coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True),
        coded("Observation", TWO, "http://snomed.info/sct|42", minute=1, valueBoolean=True),
        coded("Condition", TWO, MASS, minute=1, verificationStatus=concept("confirmed")),
    ]
    counts = take(site, [each.view() for each in (ONE, TWO)])
    assert counts["report: taken"] == 2
    assert texts(site) == {
        case_id(site, ONE.accession): encode_text(bundles["text"], "effusion"),
        case_id(site, TWO.accession): encode_text(bundles["text"], "clear"),
    }
    assert [labels for _, _, labels in cases_of(site).values()].count({}) == 0
    assert asked(server)[0] == (
        "/fhir/$export?_type=Patient%2CServiceRequest%2CDiagnosticReport%2CCondition%2CObservation"
    )
    assert asked(server)[1:3] == ["/status/export0"] * 2
    assert asked(server, "DELETE") == ["/status/export0"]
    assert not server.exports
    assert pauses == [1.0]


def test_the_next_export_has_what_changed_since_and_reads_by_itself_what_did_not(site, server, bundles):
    server.resources = [order(ONE) | {"meta": at(0)}, patient(ONE) | {"meta": at(0)}]
    server.resources += [diagnostic_report(ONE, "clear", minute=1)]
    take(site, [ONE.view()])
    server.resources[2] = diagnostic_report(ONE, "effusion", minute=5, status="corrected")
    server.resources[2]["meta"] = {"lastUpdated": "2026-01-02T12:30:00.000+00:00"}
    server.transaction_time = "2026-01-02T13:00:00+01:00"
    server.log.clear()
    assert take(site)["report: taken"] == 2
    assert list(texts(site).values()) == [encode_text(bundles["text"], "effusion")]
    assert "_since=2026-01-02T12%3A00%3A00.123456%2B00%3A00" in asked(server)[0]
    assert asked(server)[-2:] == [f"/fhir/ServiceRequest/o{ONE.number}", f"/fhir/Patient/p{ONE.patient}"]
    server.log.clear()
    take(site)
    assert "_since=2026-01-02T13%3A00%3A00%2B01%3A00" in asked(server)[0]


def test_a_deleted_report_goes_and_a_later_one_of_the_same_study_stays(site, server, bundles):
    server.resources = [order(ONE), patient(ONE), order(TWO), patient(TWO)]
    server.resources += [diagnostic_report(ONE, "clear", minute=1), diagnostic_report(TWO, "clear", minute=1)]
    take(site, [ONE.view(), TWO.view()])
    server.deleted = [f"DiagnosticReport/r{ONE.number}", f"{server.url}/DiagnosticReport/r{TWO.number}"]
    server.deleted += ["DiagnosticReport/never-here", "Patient/p0"]
    server.resources[4:] = [diagnostic_report(TWO, "effusion", minute=1) | {"id": "another"}]
    server.resources[4]["meta"] = {"lastUpdated": "2026-01-02T12:30:00.000+00:00"}
    counts = take(site)
    assert counts["report: withdrawn"] == 2
    assert texts(site) == {
        case_id(site, ONE.accession): None,
        case_id(site, TWO.accession): encode_text(bundles["text"], "effusion"),
    }
    assert take(site)["report: withdrawn"] == 2


def test_a_deletion_that_overtakes_its_report_in_the_queue_counts(site, server):
    server.resources = [whole(ONE, "clear", minute=1)]
    with open_service(site) as service:
        service._reception.take_object(ONE.view())
        poll(service)
        server.deleted = [f"DiagnosticReport/r{ONE.number}"]
        poll(service)
        spool = sorted(service._spool.waiting())
        kinds = [path.suffix for path in spool]
        assert kinds == [".dicom", ".report", ".deletion"]
        first, later = spool[1].read_bytes(), spool[2].read_bytes()
        spool[1].unlink()
        spool[1].with_suffix(".deletion").write_bytes(later)
        spool[2].unlink()
        spool[2].with_suffix(".report").write_bytes(first)
        service.once()
    assert list(texts(site).values()) == [None]


def poll(service) -> None:
    """The sources alone."""
    for source in polled(service._site, service._folder, service._reception, service._store, service._report):
        source.poll_once()


def test_a_site_forgets_which_resource_gave_a_report(site, server):
    server.resources = [whole(ONE, "clear", minute=1)]
    take(site, [ONE.view()])
    rows = "SELECT count(*) FROM given"
    with sqlite3.connect(site.intake_path / "intake.sqlite") as database:
        assert database.execute(rows).fetchone() == (1,)
    assert forget(site, open_intake(site), "accession", ONE.accession, bar=False).any
    with sqlite3.connect(site.intake_path / "intake.sqlite") as database:
        assert database.execute(rows).fetchone() == (0,)


@pytest.mark.parametrize("place", ["lines", "wait", "delete", "cursor", "kick_off"])
def test_what_ends_it_at_any_step_loses_nothing_and_counts_nothing_twice(site, server, monkeypatch, place):
    """The process is gone there; the next one goes on with the same export, or asks for it again."""
    server.resources = [whole(study, "clear", minute=1) for study in (ONE, TWO, THREE)]
    server.resources += [{"resourceType": "DiagnosticReport", "id": "none", "status": "final"}]

    class Killed(BaseException):
        """As a signal would."""

    def dying(method, after):
        def die(*arguments, **words):
            result = method(*arguments, **words)
            if place == "lines":
                return (line if number < 2 else killed() for number, line in enumerate(result))
            if place == "cursor" and not arguments[2].startswith("2026"):
                return result
            return killed()

        return die

    def killed():
        raise Killed

    owner = SourceProgress if place == "cursor" else client.BulkServer
    name = "set_cursor" if place == "cursor" else place
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying(getattr(owner, name), place))
        with pytest.raises(Killed):
            take(site, [each.view() for each in (ONE, TWO, THREE)])
    counts = take(site)
    assert counts["report: taken"] == 3
    assert sum(number for reason, number in counts.items() if "names no study" in reason) == 1
    assert None not in texts(site).values()
    kick_offs = sum("$export" in path for path in asked(server))
    assert kick_offs == (1 if place in {"lines", "wait", "cursor"} else 2)  # of nothing new, after "delete"


WRONG = [
    ("kick-off", (403, {}, outcome("forbidden")), r"answers 403, forbidden to \$export", True),
    ("kick-off", (400, {}, b"Doe^Jane"), r"answers 400 to \$export", True),
    ("kick-off", (202, {}, b""), "does not say where the export's status is", True),
    (
        "kick-off",
        (202, {"Content-Location": "http://127.0.0.9/doe-jane?Doe"}, b""),
        r"at another address, http://127\.0\.0\.9:80; ask",
        True,
    ),
    (
        "kick-off",
        (202, {"Content-Location": "http://Doe^Jane/1"}, b""),
        "at another address, which is none;",
        True,
    ),
    ("kick-off", (202, {"Content-Location": "http://[wrong"}, b""), "does not say where", True),
    ("kick-off", (302, {"Location": ELSEWHERE}, b""), "answers 302", True),
    ("status", (500, {}, outcome("exception")), "failed there, or is gone .500, exception.", True),
    ("status", (404, {}, outcome("doe-jane")), "failed there, or is gone .404.", True),
    ("status", (503, {}, b"Doe^Jane"), "answers 503", False),
    ("status", (401, {}, b""), "answers 401", False),
    ("status", (200, {}, b'{"Doe^Jane": 1}'), "manifest is not one of Bulk Data", True),
    ("status", (200, {}, b'{"a": "\xff"}'), "manifest is not one of Bulk Data", True),
    ("status", (307, {"Location": "/status/2"}, b""), "answers 307", False),
    ("files", (410, {}, outcome("expired")), "failed there, or is gone .410, expired.", True),
    ("files", (502, {}, b""), "answers 502", False),
    ("files", (302, {"Location": ELSEWHERE}, b""), "answers 302", False),
    ("files", (200, {"Content-Length": "9"}, b"{}"), "cannot be reached", False),
    ("files", (200, {}, b"{}\n{}"), "a file has 2 lines, and not 1 as the export says", True),
]


def export_in_a_process(folder, fatal) -> int:
    """Poll once and absorb, in a child that is killed at this instant; how many there are (0 if it was killed)."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        instants = Instants(fatal)
        sys.setprofile(instants)
        take(open_site(folder))
        sys.setprofile(None)
        os.write(writer, str(instants.passed).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as passed:
        found = int(passed.read() or 0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == (fatal is not None)
    return found


@pytest.fixture
def change(site, server):
    """A site that had an export, with a correction, a new report and a deletion to come, and what it has then."""
    server.resources = [whole(ONE, "clear", minute=1), whole(TWO, "clear", minute=1)]
    take(site, [each.view() for each in (ONE, TWO, THREE)])
    later = {"meta": {"lastUpdated": "2026-01-02T12:30:00.000+00:00"}}
    server.resources = [whole(ONE, "effusion", minute=1, status="corrected") | later]
    server.resources += [whole(THREE, "lungs", minute=1) | later]
    server.resources += [coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True) | later]
    server.deleted = [f"DiagnosticReport/r{TWO.number}"]
    server.busy = 0
    shutil.copytree(site.folder, site.folder.parent / "done")
    instants = export_in_a_process(site.folder.parent / "done", None)
    done = contents(site.folder.parent / "done")
    assert done != contents(site.folder)
    return site.folder, done, instants


def check_instant(change, instant: int) -> None:
    """Killed there, and started again, it has the same."""
    folder, wanted, _ = change
    killed = folder.parent / "killed"
    shutil.copytree(folder, killed)
    try:
        export_in_a_process(killed, instant)
        export_in_a_process(killed, None)
        assert contents(killed) == wanted, instant
    finally:
        shutil.rmtree(killed)


def test_killed_at_some_instants_an_export_ends_as_if_nothing_had_happened(change):
    instants = change[2]
    assert instants > 50
    for instant in range(1, instants, instants // 4):
        check_instant(change, instant)


@pytest.mark.slow
def test_killed_at_any_instant_an_export_ends_as_if_nothing_had_happened(change):
    for instant in range(1, change[2] + 1):
        check_instant(change, instant)


def test_what_goes_wrong_is_named_without_what_the_server_wrote_and_the_next_poll_gets_all(site, server):
    with open_service(site) as service:
        for number, (kind, answer, says, again) in enumerate(WRONG):
            later = {"meta": {"lastUpdated": f"2026-01-02T13:{number:02}:00.000+00:00"}}
            server.resources = [whole(ONE, f"clear {number}", minute=1) | later]
            server.transaction_time = f"2026-01-02T13:{number:02}:30Z"
            server.answers = {kind: [answer]}
            with pytest.raises(LinkError, match=says) as caught:
                poll(service)
            assert str(caught.value).startswith(f"{server.url}/: ")
            assert not [
                word for word in ("Doe", "jane", "ACC", "elsewhere", "status/") if word in str(caught.value)
            ]
            server.log.clear()
            poll(service)
            assert len(service._spool) == number + 1, says
            assert any("$export" in path for path in asked(server)) is again, says


def test_busy_servers_are_asked_when_they_say_and_less_and_less_often_else(site, server, pauses):
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)
    server.busy = 0
    server.answers = {
        "status": [
            (202, {}, b""),
            (202, {"Retry-After": "doe"}, b""),
            (429, {"Retry-After": "7"}, b""),
            (500, {}, outcome("transient")),
            (202, {"Retry-After": soon}, b""),
            (202, {"Retry-After": "86400"}, b""),
        ]
    }
    server.resources = [whole(ONE, "clear", minute=1)]
    take(site)
    assert pauses[:4] == [2.0, 4.0, 7.0, 14.0]
    assert 90 < pauses[4] <= 100
    assert pauses[5] == client.LONGEST_PAUSE_S


def test_an_export_that_takes_longer_than_a_poll_waits_is_gone_on_with(site, server, monkeypatch):
    server.busy = 10_000
    monkeypatch.setattr(client, "MOST_WAIT_S", 0.5)
    with pytest.raises(LinkError, match="not complete yet; the next poll goes on with it"):
        take(site)
    server.busy = 0
    take(site)
    assert sum("$export" in path for path in asked(server)) == 1


def test_a_file_gets_our_token_only_where_the_export_asks_for_it(site, server):
    """The server refuses one that comes without need, and one that does not come."""
    for number, requires in enumerate((True, False)):
        server.requires_token = requires
        server.resources = [whole(ONE, f"clear {number}", minute=number)]
        server.resources[0]["meta"] = {"lastUpdated": f"2026-01-02T12:3{number}:00.000+00:00"}
        server.transaction_time = f"2026-01-02T12:3{number}:30Z"
        assert take(site)["report: taken"] == number + 1
        assert [token for _, path, token in server.log if path.startswith("/files")][-1] is requires


def test_a_file_elsewhere_is_fetched_only_where_that_is_allowed_and_without_our_token(
    tmp_path, bundles, server
):
    with BulkServer() as other:
        server.files_at, other.exports, other.requires_token = other.root, server.exports, False
        server.resources = [whole(ONE, "clear", minute=1)]
        site = site_with(tmp_path, bundles, server)
        with pytest.raises(
            LinkError, match=f"names a file at another address, {other.root}; ask its operator, or allow"
        ):
            take(site)
        assert other.log == []
        site = site_with(tmp_path, bundles, server, f'files_at = ["{other.root}"]\n', "allowed")
        with pytest.raises(LinkError, match=f"{other.root}, wants our token, which goes nowhere else"):
            take(site)
        assert other.log == []
        server.requires_token = False
        assert take(site)["report: taken"] == 1
        assert [token for _, _, token in other.log] == [False]
        other.shutdown()


def test_nothing_of_a_patient_is_left_of_an_export(site, server):
    """Whatever came of it: taken, withdrawn, deleted, unreadable, broken off."""
    phrase, hear = "mikdovtas velrunhos", Silent()
    words = [phrase, *(word for study in (ONE, TWO, THREE) for word in (study.accession, study.patient))]
    server.resources = [order(ONE), patient(ONE), diagnostic_report(ONE, phrase, minute=1)]
    server.resources += [whole(TWO, phrase, minute=1), whole(THREE, phrase, minute=1, status="amended")]
    server.resources += [
        {"resourceType": "DiagnosticReport", "id": ONE.accession, "status": phrase, "issued": phrase}
    ]
    server.resources += [
        coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True) | {"id": ONE.patient}
    ]
    with open_service(site, hear) as service:
        service.once()
        server.deleted = [f"DiagnosticReport/r{TWO.number}", f"DiagnosticReport/{ONE.accession}"]
        server.resources = [
            whole(THREE, "", minute=1, status="cancelled") | {"meta": {"lastUpdated": "2026-02-01T00:00:00Z"}}
        ]
        server.answers = {"files": [(500, {}, outcome("exception")), (502, {}, phrase.encode())]}
        for _ in range(2):
            with pytest.raises(LinkError) as caught:
                service.once()
            hear("failed", {"reason": str(caught.value)})
        service.once()
        assert not service._spool.waiting()
    assert [event for event, _ in hear.heard].count("polled") == 2
    assert hits(words, everything(site.folder, repr(hear.heard).encode())) == []


def test_a_group_and_codes_are_asked_for_where_site_toml_says_so(tmp_path, bundles, server):
    site = site_with(tmp_path, bundles, server, 'group = "chest-1"\ntype_filter = true\nreports = false\n')
    server.resources = [
        coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True),
        whole(ONE, "clear", minute=1),
    ]
    counts = take(site, [ONE.view()])
    ((_, features, labels),) = cases_of(site).values()
    assert labels == {"effusion": 1}
    assert "report: taken" not in counts
    assert list(features) == ["image"]
    path, _, query = asked(server)[0].partition("?")
    assert path == "/fhir/Group/chest-1/$export"
    wanted = "Condition?code=http://snomed.info/sct|4147007,Observation?code=http://snomed.info/sct|60046008"
    assert requests.utils.unquote(query).endswith(f"_typeFilter={wanted}")


def test_a_label_has_the_accession_number_of_its_evidence_in_another_file(site, server):
    server.resources = [
        whole(ONE, "clear", minute=1),
        coded("Condition", ONE, MASS, minute=1, verificationStatus=concept("refuted"))
        | {"identifier": [], "evidence": [{"detail": [{"reference": f"DiagnosticReport/r{ONE.number}"}]}]},
    ]
    take(site, [ONE.view()])
    ((_, _, labels),) = cases_of(site).values()
    assert labels == {"mass": 0}


def test_what_cannot_be_read_is_counted_once_and_the_rest_is_taken(site, server, monkeypatch):
    monkeypatch.setattr(client, "MAX_LINE", 2000)
    monkeypatch.setattr(client, "_CHUNK", 512)
    good = json.dumps(whole(ONE, "clear", minute=1)).encode()
    long = json.dumps(whole(TWO, "x" * 4000, minute=1)).encode()
    lines = b"\n".join([b"\xff\xfe", long, b'{"a":' + b"[" * 1500, good, b"", b"no JSON"])
    server.resources = [whole(ONE, "clear", minute=1)]
    server.says_counts = False
    server.answers = {"files": [(200, {}, lines)]}
    take(site, [ONE.view()])
    counts = take(site)
    assert counts["report: is not readable as FHIR R4"] == 4
    assert counts["report: taken"] == 1
    assert all(text is not None for text in texts(site).values())


def test_older_reports_are_asked_for_once_they_are_wanted(tmp_path, bundles, server):
    """The types of the export are the same: a condition's evidence may be a report."""
    server.resources = [whole(ONE, "clear", minute=1)]
    site = site_with(tmp_path, bundles, server, "reports = false\n")
    assert "report: taken" not in take(site)
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace("reports = false", "reports = true"))
    assert take(open_site(site.folder))["report: taken"] == 1


def test_what_makes_room_in_memory_is_read_again(site, server, monkeypatch):
    monkeypatch.setattr(fhir_export, "MOST_KNOWN", 1)
    server.resources = [each(study) for study in (ONE, TWO, THREE) for each in (order, patient)]
    server.resources += [diagnostic_report(study, "clear", minute=1) for study in (ONE, TWO, THREE)]
    assert take(site)["report: taken"] == 3


def test_an_answer_without_end_is_not_kept(site, server, monkeypatch):
    monkeypatch.setattr(client, "_MAX_ANSWER", 1 << 20)
    server.answers = {"status": [(200, {}, b" " * (3 << 20))]}
    with pytest.raises(LinkError, match="/fhir/: answers with over 1 MiB"):
        take(site)


def test_a_file_without_end_is_given_up(site, server, monkeypatch):
    monkeypatch.setattr(client, "MOST_LINES", 2)
    server.resources = [whole(study, "clear", minute=1) for study in (ONE, TWO, THREE)]
    with pytest.raises(LinkError, match="a file has over 2 lines; export a `group`"):
        take(site)


def test_what_the_server_could_not_export_is_counted_once_for_each_export(site, server):
    server.resources = [whole(ONE, "clear", minute=1)]
    start = server.start

    def with_errors(*arguments):
        name = start(*arguments)
        manifest, contents = server.exports[name]
        manifest["deleted"] = [{"type": "Bundle", "url": f"{server.root}/files/{name}/gone"}]
        contents["gone"] = b"Doe^Jane\n"
        manifest["error"] = [{"type": "OperationOutcome", "url": f"{server.root}/files/{name}/errors"}]
        contents["errors"] = outcome("exception") + b"\n" + outcome("informational", "information")
        return name

    server.start = with_errors
    take(site)
    counts = take(site)
    assert counts["export: the server could not export something"] == 1
    assert counts["export: a deletion is not readable"] == 1


def test_a_full_queue_stops_an_export_and_room_lets_it_go_on(site, server, monkeypatch):
    server.resources = [whole(ONE, "clear", minute=1)]

    def full(*_):
        raise FullError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "put", full)
        with pytest.raises(StateError, match="no room"):
            take(site)
    assert take(site)["report: taken"] == 1


def test_an_address_that_site_toml_does_not_name_gets_no_secret_by_a_password_either(
    tmp_path, bundles, server
):
    (tmp_path / "password").write_text("secret")
    section = (
        f'\n[intake.fhir_export]\nurl = "{server.url}"\nuser = "fedfin"\npassword_file = "../password"\n'
    )
    site = make_site(tmp_path / "site", bundles, RULE + section)
    with pytest.raises(LinkError, match=r"answers 403, forbidden"):
        take(open_site(site.folder))
    assert [token for _, _, token in server.log] == [True]


def test_the_doctor_says_whether_the_server_exports(tmp_path, bundles, server, site):
    (well,) = doctor.intake(site)
    asked = [("GET", f"/fhir/{below}", True) for below in ("metadata", "Patient?_count=1")]
    assert (well.verdict, server.log) == (Verdict.PASS, asked)
    (rest,) = server.capabilities["rest"]
    del rest["operation"]
    (without,) = doctor.intake(site)
    assert without.verdict is Verdict.WARN
    assert "Bulk Data Access" in without.remedy
    group = site_with(tmp_path, bundles, server, 'group = "chest-1"\n', "group")
    assert next(doctor.intake(group)).verdict is Verdict.PASS
    server.capabilities = {"resourceType": "Patient", "name": "Doe^Jane"}
    (other,) = doctor.intake(site)
    assert other.verdict is Verdict.FAIL
    assert "Doe" not in other.says + other.remedy
    (tmp_path / "token").unlink()
    (unreadable,) = doctor.intake(site)
    assert "token: cannot read it" in unreadable.says
