"""FHIR R4 by REST search and as files: reports with corrections and withdrawals, labels by code."""

import base64
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlparse

import pytest
from intake_kit import RULE, case_id, cases_of, encode_text, make_site, studies, take

from fedfin.broker.check.finding import Verdict
from fedfin.errors import InputError, LinkError
from fedfin_edge.doctor.intake import intake
from fedfin_edge.intake import watched_folder
from fedfin_edge.intake.fhir_search import is_below
from fedfin_edge.site import open_site

ONE, TWO, THREE = studies(3)
ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
EFFUSION, MASS = "http://snomed.info/sct|60046008", "http://snomed.info/sct|4147007"
LABELS = f"""
[[intake.resources.labels]]
label = "effusion"
code = "{EFFUSION}"

[[intake.resources.labels]]
label = "mass"
code = "{MASS}"
resource = "Condition"
"""


def at(minute: int) -> dict:
    """When the server got a version."""
    return {"lastUpdated": f"2026-01-02T11:{minute:02}:00.000+00:00"}


def diagnostic_report(study, text, *, minute, status="final", **elements) -> dict:
    """As a reporting system has it: the order and the patient are resources of their own."""
    return {
        "resourceType": "DiagnosticReport",
        "id": f"r{study.number}",
        "meta": at(minute),
        "status": status,
        "code": {"text": "Chest X-ray"},
        "basedOn": [{"reference": f"ServiceRequest/o{study.number}"}],
        "subject": {"reference": f"Patient/p{study.patient}"},
        "presentedForm": [
            {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(text.encode()).decode()}
        ],
    } | elements


def order(study) -> dict:
    """The order that a report is based on."""
    identifier = [{"type": ACSN, "value": study.accession}]
    return {
        "resourceType": "ServiceRequest",
        "id": f"o{study.number}",
        "status": "completed",
        "identifier": identifier,
    }


def patient(study) -> dict:
    """Whose it is."""
    return {
        "resourceType": "Patient",
        "id": f"p{study.patient}",
        "identifier": [{"value": "4711"}, {"type": {"coding": [{"code": "MR"}]}, "value": study.patient}],
    }


def whole(study, text, **words) -> dict:
    """A report with all in it, as in a file."""
    own = {"identifier": [{"type": ACSN, "value": study.accession}], "basedOn": []}
    return (
        diagnostic_report(study, text, **words) | own | {"subject": {"identifier": {"value": study.patient}}}
    )


INCLUDED = {"based-on": "ServiceRequest", "subject": "Patient", "evidence-detail": "DiagnosticReport"}


class FhirServer(ThreadingHTTPServer):
    """Search by _lastUpdated, pages of two, what they refer to where that is asked for (R4, 3.1.1), a token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.resources: list[dict] = []
        self.asked: list[str] = []
        self.pages_at_base = False  # True: as HAPI has them
        self.spoiled = False
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """The base."""
        return f"http://127.0.0.1:{self.server_address[1]}/fhir"

    def search(self, kind: str, query: dict[str, list[str]]) -> dict:
        """One page."""
        since = query.get("_lastUpdated", ["ge"])[0][2:]
        codes = query.get("code", [""])[0].split(",")
        found = [
            each
            for each in self.resources
            if each["resourceType"] == kind
            and each["meta"]["lastUpdated"] >= since.replace("Z", "+00:00")
            and (codes == [""] or any(f"{c['system']}|{c['code']}" in codes for c in each["code"]["coding"]))
        ]
        found.sort(key=lambda each: each["meta"]["lastUpdated"])
        start = int(query.get("page", ["0"])[0])
        page, rest = found[start : start + 2], found[start + 2 :]
        named = {INCLUDED[each.removeprefix(f"{kind}:")] for each in query.get("_include", [])}
        included = [
            each
            for each in self.resources
            if each["resourceType"] in named and f'"{each["resourceType"]}/{each["id"]}"' in json.dumps(page)
        ]
        more = urlencode(query | {"page": start + 2}, doseq=True)
        pages = f"{self.url}?_getpages={kind}&" if self.pages_at_base else f"{self.url}/{kind}?"
        following = [{"relation": "next", "url": f"{pages}{more}"}]
        return {
            "resourceType": "Bundle",
            "type": "searchset",
            "link": [{"relation": "self", "url": self.url}, *(following if rest else [])],
            "entry": [
                {"resource": each, "search": {"mode": mode}}
                for mode, part in (("match", page), ("include", included))
                for each in part
            ],
        }


class _Handler(BaseHTTPRequestHandler):
    server: FhirServer

    def do_GET(self) -> None:
        address = urlparse(self.path)
        self.server.asked.append(self.path)
        allowed = self.headers["Authorization"] == "Bearer open sesame"
        query = parse_qs(address.query)
        kind = query.pop("_getpages", [address.path.removeprefix("/fhir/")])[0]
        found = self.server.search(kind, query) if allowed else {}
        body = json.dumps(found, ensure_ascii=False).encode("latin-1" if self.server.spoiled else "utf-8")
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    """A FHIR server with nothing in it."""
    with FhirServer() as server:
        yield server
        server.shutdown()


@pytest.fixture
def site(tmp_path, bundles, server):
    """A site that polls it."""
    (tmp_path / "token").write_text("open sesame\n")
    fhir = f'\n[intake.fhir]\nurl = "{server.url}"\ntoken_file = "../token"\n'
    return make_site(tmp_path / "site", bundles, RULE + fhir + LABELS)


@pytest.mark.parametrize("pages_at_base", [False, True])
def test_reports_are_found_page_by_page_and_join_images_by_the_orders_accession_number(
    site, server, bundles, pages_at_base
):
    server.pages_at_base = pages_at_base
    server.resources = [each(study) for study in (ONE, TWO, THREE) for each in (order, patient)]
    server.resources += [
        diagnostic_report(ONE, "effusion", minute=1),
        diagnostic_report(TWO, "clear", minute=2),
        diagnostic_report(THREE, "lungs", minute=3, status="preliminary"),
    ]
    take(site, [each.view() for each in (ONE, TWO, THREE)])
    cases = cases_of(site)
    texts = {name: features.get("text") for name, (_, features, _) in cases.items()}
    assert texts == {
        case_id(site, ONE.accession): encode_text(bundles["text"], "effusion"),
        case_id(site, TWO.accession): encode_text(bundles["text"], "clear"),
        case_id(site, THREE.accession): None,
    }


@pytest.mark.parametrize("status", ["amended", "corrected", "appended"])
def test_a_new_version_replaces_and_only_what_is_new_is_asked_for(site, server, bundles, status):
    server.resources = [order(ONE), patient(ONE), diagnostic_report(ONE, "clear", minute=1)]
    take(site, [ONE.view()])
    server.resources[-1] = diagnostic_report(ONE, "effusion", minute=5, status=status)
    take(site)
    ((_, features, _),) = cases_of(site).values()
    assert features["text"] == encode_text(bundles["text"], "effusion")
    assert (
        "_lastUpdated=ge2026-01-02T11%3A01"
        in [each for each in server.asked if "DiagnosticReport" in each][-1]
    )


def test_what_was_read_is_not_read_again(site, server):
    server.resources = [order(ONE), patient(ONE), diagnostic_report(ONE, "clear", minute=1)]
    assert take(site)["report: taken"] == 1
    assert take(site)["report: taken"] == 1


@pytest.mark.parametrize("unset", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999-05:00"])
def test_a_time_that_a_server_left_unset_is_none_and_holds_up_nothing(site, server, unset):
    server.resources = [
        order(ONE),
        patient(ONE),
        diagnostic_report(TWO, "clear", minute=1, meta={"lastUpdated": unset}),
        coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True, meta={"lastUpdated": unset}),
        diagnostic_report(ONE, "clear", minute=2),
    ]
    server.resources[2]["identifier"] = [{"type": ACSN, "value": TWO.accession}]
    assert take(site) == {
        "report: has no time: meta.lastUpdated and issued are missing": 1,
        "report: taken": 1,
    }


def test_beside_a_new_report_one_that_was_read_is_not_counted_again(site, server):
    server.resources = [whole(ONE, "clear", minute=1)]
    take(site)
    server.resources += [whole(TWO, "clear", minute=2)]
    assert take(site)["report: taken"] == 2


def test_a_report_that_is_only_a_conditions_evidence_tells_its_accession_number_and_is_none(
    tmp_path, bundles, server
):
    (tmp_path / "token").write_text("open sesame")
    fhir = f'\n[intake.fhir]\nurl = "{server.url}"\ntoken_file = "../token"\nreports = false\n'
    site = make_site(tmp_path / "site", bundles, RULE + fhir + LABELS)
    evidence = [{"detail": [{"reference": f"DiagnosticReport/r{ONE.number}"}]}]
    condition = coded("Condition", ONE, MASS, minute=1, verificationStatus=concept("confirmed"))
    server.resources = [whole(ONE, "clear", minute=1), condition | {"identifier": [], "evidence": evidence}]
    assert "report: taken" not in take(site, [ONE.view()])
    ((_, features, labels),) = cases_of(site).values()
    assert labels == {"mass": 1}
    assert list(features) == ["image"]


def test_what_is_no_text_is_counted_once_and_the_source_goes_on(site, server):
    """Bytes that are no UTF-8 ended the source, without a word."""
    report = whole(ONE, "clear", minute=1) | {"conclusion": "é"}
    server.resources = [report, whole(TWO, "clear", minute=1)]
    server.spoiled = True
    take(site)
    counts = take(site)
    assert counts["report: is not readable as FHIR R4"] == 1
    assert counts["report: taken"] == 1


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_withdrawn_report_goes(site, server, status):
    server.resources = [order(ONE), patient(ONE), diagnostic_report(ONE, "clear", minute=1)]
    take(site, [ONE.view()])
    server.resources[-1] = diagnostic_report(ONE, "clear", minute=5, status=status)
    take(site)
    assert [sorted(features) for _, features, _ in cases_of(site).values()] == [["image"]]


def coded(resource, study, code, *, minute, **elements) -> dict:
    """An Observation or Condition of this study."""
    system, _, number = code.partition("|")
    return {
        "resourceType": resource,
        "id": f"{resource}{study.number}",
        "meta": at(minute),
        "status": "final",
        "identifier": [{"type": ACSN, "value": study.accession}],
        "code": {"coding": [{"system": system, "code": number}]},
    } | elements


def concept(code) -> dict:
    """A CodeableConcept."""
    return {"coding": [{"code": code}]}


@pytest.mark.parametrize(
    ("elements", "value"),
    [
        ({"valueBoolean": True}, 1),
        ({"valueBoolean": False}, 0),
        ({"valueInteger": 1}, 1),
        ({"valueCodeableConcept": concept("LA9634-2")}, 0),
        ({"valueCodeableConcept": concept("52101004")}, 1),
        ({"valueCodeableConcept": concept("42")}, None),
        ({"valueBoolean": True, "status": "preliminary"}, None),
    ],
)
def test_an_observation_of_a_code_tells_a_label(site, server, elements, value):
    server.resources = [coded("Observation", ONE, EFFUSION, minute=1, **elements)]
    take(site, [ONE.view()])
    ((_, _, labels),) = cases_of(site).values()
    assert labels == ({} if value is None else {"effusion": value})


def test_a_later_version_of_a_label_counts_and_one_that_is_entered_in_error_goes(site, server):
    server.resources = [
        coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True),
        coded("Condition", ONE, MASS, minute=1, verificationStatus=concept("confirmed")),
        coded("Condition", TWO, MASS, minute=1, verificationStatus=concept("refuted")),
    ]
    take(site, [ONE.view(), TWO.view()])
    labels = {name: labels for name, (_, _, labels) in cases_of(site).items()}
    assert labels == {
        case_id(site, ONE.accession): {"effusion": 1, "mass": 1},
        case_id(site, TWO.accession): {"mass": 0},
    }
    server.resources = [
        coded("Observation", ONE, EFFUSION, minute=5, valueBoolean=False),
        coded("Condition", ONE, MASS, minute=5, verificationStatus=concept("entered-in-error")),
    ]
    take(site)
    assert cases_of(site)[case_id(site, ONE.accession)][2] == {"effusion": 0}


def changed(site, old, new):
    """The site with this in site.toml."""
    settings = site.folder / "site.toml"
    assert old in settings.read_text()
    settings.write_text(settings.read_text().replace(old, new))
    return open_site(site.folder)


def test_after_a_corrected_code_older_resources_are_read_and_what_the_wrong_one_told_is_gone(site, server):
    right, wrong = "http://snomed.info/sct|42", EFFUSION
    server.resources = [
        coded("Observation", ONE, right, minute=1, valueBoolean=False),
        coded("Observation", ONE, wrong, minute=5, valueBoolean=True),
        coded("Observation", TWO, wrong, minute=5, valueBoolean=True),
        coded("Condition", TWO, MASS, minute=5, verificationStatus=concept("confirmed")),
    ]
    take(site, [ONE.view(), TWO.view()])
    server.resources.pop()  # of a server that keeps nothing for long: what its code told stays
    site = changed(site, wrong, right)
    take(site)
    labels = {name: labels for name, (_, _, labels) in cases_of(site).items()}
    assert labels == {
        case_id(site, ONE.accession): {"effusion": 0},
        case_id(site, TWO.accession): {"mass": 1},
    }


def test_after_another_code_what_a_former_one_told_stays(site, server):
    server.resources = [coded("Observation", ONE, EFFUSION, minute=5, valueBoolean=True)]
    take(site, [ONE.view()])
    server.resources = []
    other = f'[[intake.resources.labels]]\nlabel = "effusion"\ncode = "{MASS}"\n\n'
    site = changed(
        site,
        '[[intake.resources.labels]]\nlabel = "mass"',
        f'{other}[[intake.resources.labels]]\nlabel = "mass"',
    )
    take(site)
    ((_, _, labels),) = cases_of(site).values()
    assert labels == {"effusion": 1}


def test_reports_that_no_modality_was_named_for_are_taken_once_one_is(site, server):
    site = changed(site, 'reports = "text"', "")
    server.resources = [order(ONE), patient(ONE), diagnostic_report(ONE, "clear", minute=1)]
    assert "report: taken" not in take(site)
    site = changed(site, "[intake]", '[intake]\nreports = "text"')
    assert take(site)["report: taken"] == 1


def test_after_a_corrected_rule_the_watched_folder_is_read_again(tmp_path, bundles):
    folder = tmp_path / "in"
    folder.mkdir()
    site = make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{folder}"\n')
    (folder / "lateral").write_bytes(ONE.view("LL"))
    settle(folder / "lateral")
    assert "image: taken" not in take(site)
    site = changed(site, '"PA", "AP"', '"PA", "AP", "LL"')
    for _ in range(2):
        assert take(site)["image: taken"] == 1


def test_after_a_change_of_encoder_polled_sources_are_read_again_and_no_case_lacks_features(
    tmp_path, bundles
):
    folder, other = tmp_path / "in", tmp_path / "other"
    folder.mkdir()
    site = make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{folder}"\n')
    (folder / "one").write_bytes(ONE.view())
    settle(folder / "one")
    take(site)
    shutil.copytree(bundles["image"], other)
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace("tiny-image", "another-image"))
    site = changed(site, str(bundles["image"]), str(other))
    take(site)
    ((_, features, _),) = cases_of(site).values()
    assert list(features) == ["image"]


def test_a_bulk_export_in_the_watched_folder_is_taken_once(tmp_path, bundles):
    export = tmp_path / "export"
    export.mkdir()
    site = make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{export}"\n{LABELS}')
    lines = [
        whole(ONE, "effusion", minute=1),
        {"resourceType": "Basic"},
        whole(TWO, "", minute=1, status="cancelled"),
    ]
    path = export / "DiagnosticReport.ndjson"
    path.write_text("\n".join([*map(json.dumps, lines), "no JSON", ""]))
    (export / "study.dcm").write_bytes(ONE.view())
    (export / "note.hl7").write_bytes(b"MSH|")
    for each in export.iterdir():
        settle(each)
    for _ in range(2):
        counts = take(site)
        assert counts["report: taken"] == counts["image: taken"] == counts["report: withdrawn"] == 1
        assert counts["report: is not readable as FHIR R4"] == counts["file: is not readable as HL7 v2"] == 1
    ((_, features, _),) = cases_of(site).values()
    assert sorted(features) == ["image", "text"]


def test_an_export_of_more_reports_than_the_queue_holds_is_taken_to_its_end(tmp_path, bundles):
    export = tmp_path / "export"
    export.mkdir()
    rule = RULE.replace("[intake]", "[intake]\nmost_queued = 2")
    site = make_site(tmp_path / "site", bundles, f'{rule}\n[intake.folder]\npath = "{export}"\n')
    path = export / "DiagnosticReport.ndjson"
    path.write_text("\n".join(json.dumps(whole(each, "clear", minute=1)) for each in studies(7)))
    settle(path)
    assert take(site) == {"report: taken": 7}


def settle(path):
    """Let a file be as old as one that nobody writes to any more."""
    import os

    os.utime(path, (1_700_000_000, 1_700_000_000))


def test_a_file_that_is_still_being_written_waits_and_remove_deletes_what_was_taken(tmp_path, bundles):
    folder = tmp_path / "in"
    folder.mkdir()
    site = make_site(
        tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{folder}"\nremove = true\n'
    )
    (folder / "one").write_bytes(ONE.view())
    assert "image: taken" not in take(site)
    settle(folder / "one")
    assert take(site)["image: taken"] == 1
    assert not list(folder.iterdir())


@pytest.fixture
def watching(tmp_path, bundles):
    """A watched folder of which what was taken is removed, and its site."""
    folder = tmp_path / "in"
    folder.mkdir()
    rule = f'{RULE}\n[intake.folder]\npath = "{folder}"\nremove = true\n'
    return folder, make_site(tmp_path / "site", bundles, rule)


def test_what_cannot_be_used_is_not_removed_and_counts_once(watching, monkeypatch):
    folder, site = watching
    monkeypatch.setattr(watched_folder, "MAX_OBJECT", 1 << 20)
    (folder / "note.hl7").write_bytes(b"MSH|")
    (folder / "large.dcm").write_bytes(bytes((1 << 20) + 1))
    (folder / "text.txt").write_bytes(b"not DICOM")
    for each in folder.iterdir():
        settle(each)
    for _ in range(2):
        counts = take(site)
        assert counts["file: is not readable as HL7 v2"] == counts["file: is larger than 1 MiB"] == 1
        assert len(list(folder.iterdir())) == 3


def test_what_cannot_be_read_is_not_removed_and_taken_when_it_can(watching, monkeypatch):
    folder, site = watching
    (folder / "one").write_bytes(ONE.view())
    settle(folder / "one")
    with monkeypatch.context() as patched:
        patched.setattr(watched_folder, "read_at_most", unreadable)
        assert take(site)["file: cannot be read"] == 1
    assert (folder / "one").exists()
    assert take(site)["image: taken"] == 1
    assert not list(folder.iterdir())


def unreadable(path, _):
    """As a file of another user."""
    raise PermissionError(13, "Permission denied", path)


def test_what_was_taken_and_cannot_be_removed_is_told_without_its_name(watching, monkeypatch):
    folder, site = watching
    (folder / "DOE^JOHN").write_bytes(ONE.view())
    settle(folder / "DOE^JOHN")
    monkeypatch.setattr(watched_folder.Path, "unlink", lambda path, **_: unreadable(path, 0))
    with pytest.raises(InputError, match="1 files that were taken cannot be removed") as caught:
        take(site)
    assert "DOE" not in str(caught.value)


def test_a_refusal_is_named_without_the_address_that_was_asked_for(site, server, tmp_path):
    (tmp_path / "token").write_text("wrong")
    with pytest.raises(LinkError, match=r"/fhir/: answers 403; look in its log") as caught:
        take(site)
    assert "_lastUpdated" not in str(caught.value)


def test_a_next_page_elsewhere_is_not_followed(site, server):
    """The token would go along."""
    server.resources = [each(study) for study in (ONE, TWO, THREE) for each in (order, patient)]
    server.resources += [diagnostic_report(each, "clear", minute=1) for each in (ONE, TWO, THREE)]
    type(server).url = property(lambda _: "http://elsewhere.example/fhir")
    try:
        with pytest.raises(LinkError, match=r"at another address, http://elsewhere\.example:80; ask"):
            take(site)
    finally:
        type(server).url = FHIR_URL


FHIR_URL = FhirServer.url


def test_pages_that_lead_in_a_circle_end_and_what_they_held_is_taken(site, server, monkeypatch):
    def search(kind, query):
        page = FhirServer.search(server, kind, {})
        return page | {"link": [{"relation": "next", "url": f"{server.url}/{kind}?page=1"}]}

    server.resources = [order(ONE), patient(ONE), diagnostic_report(ONE, "clear", minute=1)]
    monkeypatch.setattr(server, "search", search)
    with pytest.raises(LinkError, match="lead in a circle"):
        take(site)
    assert len(server.asked) == 2


@pytest.mark.parametrize("form", ["contained", "absolute", "versioned"])
def test_an_order_and_a_patient_are_found_however_they_are_referred_to(site, server, bundles, form):
    """Within the report, by the server's own address, or in a certain version (R4, 2.3.0)."""
    names = {"order": f"ServiceRequest/o{ONE.number}", "patient": f"Patient/p{ONE.patient}"}
    written = {
        "contained": {"order": f"#o{ONE.number}", "patient": f"#p{ONE.patient}"},
        "absolute": {what: f"{server.url}/{name}" for what, name in names.items()},
        "versioned": {what: f"{name}/_history/2" for what, name in names.items()},
    }[form]
    report = diagnostic_report(ONE, "clear", minute=1)
    report |= {"basedOn": [{"reference": written["order"]}], "subject": {"reference": written["patient"]}}
    others = [order(ONE), patient(ONE)]
    report |= {"contained": others} if form == "contained" else {"note": list(names.values())}
    server.resources = [report, *([] if form == "contained" else others)]
    take(site, [ONE.view()])
    ((_, features, _),) = cases_of(site).values()
    assert features["text"] == encode_text(bundles["text"], "clear")


def test_the_letters_of_a_presented_form_are_those_of_its_character_set(site, server, bundles):
    text = "kein Erguß"
    forms = {
        ONE: {"contentType": "text/plain; charset=ISO-8859-1", "data": text.encode("latin-1")},
        TWO: {"contentType": 'text/plain;charset="utf-8"', "data": text.encode()},
        THREE: {"contentType": "text/plain; charset=idna", "data": text.encode()},
    }
    for study, form in forms.items():
        given = [form | {"data": base64.b64encode(form["data"]).decode()}]
        server.resources.append(whole(study, "", minute=1, presentedForm=given))
    counts = take(site, [study.view() for study in forms])
    cases = cases_of(site)
    for study in (ONE, TWO):
        assert cases[case_id(site, study.accession)][1]["text"] == encode_text(bundles["text"], text)
    assert counts["report: has a presentedForm in a character set that is not known"] == 1


@pytest.mark.parametrize(
    ("address", "below"),
    [
        ("https://fhir.example/r4?_getpages=1", True),
        ("https://FHIR.example/r4/Observation?page=2", True),
        ("https://fhir.example/r45/Observation", False),
        ("http://fhir.example/r4/Observation", False),
        ("https://fhir.example.org/r4/Observation", False),
        ("https://fhir.example@elsewhere.example/r4/Observation", False),
    ],
)
def test_a_page_is_the_servers_own_below_its_base_or_at_it(address, below):
    assert is_below(address, "https://fhir.example/r4/") is below


def test_the_doctor_asks_as_the_intake_does_with_its_token_and_without_the_environments_proxy(
    site, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    (well,) = intake(site)
    assert well.verdict is Verdict.PASS
    (tmp_path / "token").write_text("open barley\n")
    (refused,) = intake(site)
    assert refused.verdict is Verdict.FAIL
    assert "token in [intake]" in refused.remedy
    (tmp_path / "token").unlink()
    (unreadable,) = intake(site)
    assert unreadable.verdict is Verdict.FAIL
    assert unreadable.says.startswith(f"{site.folder}/../token: cannot read it")
    kinds = ["DiagnosticReport", "Observation", "Condition"]
    assert [asked.partition("?")[0] for asked in server.asked] == [
        f"/fhir/{kind}" for kind in [*kinds, "DiagnosticReport"]
    ]
