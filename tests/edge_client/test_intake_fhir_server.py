"""A FHIR server that others wrote: search and Bulk Data bring the same cases, by what it makes of the specification."""

import pytest
import sekmet
from intake_kit import RULE, case_id, cases_of, encode_text, make_site, studies, take
from test_intake_fhir import EFFUSION, LABELS, MASS, coded, concept, diagnostic_report, order, patient

from fedfin.broker.check.finding import Verdict
from fedfin_edge.doctor.intake import intake

pytestmark = pytest.mark.skipif(not sekmet.HERE, reason=sekmet.WITHOUT)
STUDIES = studies(5)
ONE, TWO = STUDIES[:2]
SECTIONS = ("fhir", "fhir_export")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A server with reports, orders, patients and what tells labels, as it validates them itself."""
    with sekmet.Sekmet(tmp_path_factory.mktemp("hospital") / "sekmet") as server:
        for each in STUDIES:
            server.put(patient(each))
            server.put(
                order(each) | {"intent": "order", "subject": {"reference": f"Patient/p{each.patient}"}}
            )
            server.put(diagnostic_report(each, "clear", minute=1))
        subject = {"subject": {"reference": f"Patient/p{ONE.patient}"}}
        server.put(coded("Observation", ONE, EFFUSION, minute=1, valueBoolean=True) | subject)
        server.put(
            coded("Observation", TWO, "http://snomed.info/sct|42", minute=1, valueBoolean=True) | subject
        )
        confirmed = concept("confirmed")
        confirmed["coding"][0]["system"] = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        condition = coded("Condition", TWO, MASS, minute=1, verificationStatus=confirmed) | subject
        del condition["status"]
        server.put(condition)
        yield server


def test_an_export_of_a_group_has_its_patients_reports_and_the_labels_that_the_server_picked(
    tmp_path, bundles, hospital
):
    """Before any of them is corrected."""
    member = {"entity": {"reference": f"Patient/p{ONE.patient}"}}
    hospital.put(
        {"resourceType": "Group", "id": "chest", "type": "person", "actual": True, "member": [member]}
    )
    section = hospital.section("fhir_export") + 'group = "chest"\ntype_filter = true\n'
    site = make_site(tmp_path / "site", bundles, RULE + section + LABELS)
    assert take(site, [each.view() for each in STUDIES])["report: taken"] == 2
    labels = {name: labels for name, (_, _, labels) in cases_of(site).items() if labels}
    assert labels == {
        case_id(site, ONE.accession): {"effusion": 1},
        case_id(site, TWO.accession): {"mass": 1},
    }


def test_search_and_export_bring_the_same_cases_and_then_what_changed(tmp_path, bundles, hospital):
    sites = [make_site(tmp_path / name, bundles, RULE + hospital.section(name) + LABELS) for name in SECTIONS]
    clear, effusion = (encode_text(bundles["text"], text) for text in ("clear", "effusion"))
    for site in sites:
        (finding,) = intake(site)
        assert finding.verdict is Verdict.PASS, finding.says
        assert take(site, [each.view() for each in STUDIES])["report: taken"] == len(STUDIES)
        cases = cases_of(site)
        assert {features["text"] for _, features, _ in cases.values()} == {clear}
        assert cases[case_id(site, ONE.accession)][2] == {"effusion": 1}
        assert cases[case_id(site, TWO.accession)][2] == {"mass": 1}
    hospital.put(diagnostic_report(ONE, "effusion", minute=1, status="corrected"))
    hospital.put(diagnostic_report(TWO, "clear", minute=1, status="entered-in-error"))
    for site in sites:
        counts = take(site)
        texts = {name: features.get("text") for name, (_, features, _) in cases_of(site).items()}
        assert texts[case_id(site, ONE.accession)] == effusion
        assert texts[case_id(site, TWO.accession)] is None
        assert counts["report: withdrawn"] == 1
        assert counts["report: taken"] == len(STUDIES) + 1


@pytest.mark.parametrize("name", SECTIONS)
def test_the_doctor_finds_a_token_that_the_server_does_not_know_although_it_tells_everybody_what_it_can(
    tmp_path, bundles, hospital, name
):
    (tmp_path / "token").write_text("open barley\n")
    section = hospital.section(name).partition("token_file")[0] + f'token_file = "{tmp_path / "token"}"\n'
    (finding,) = intake(make_site(tmp_path / "site", bundles, RULE + section))
    assert finding.verdict is Verdict.FAIL
    assert "HTTP 401" in finding.says
    assert "token in [intake]" in finding.remedy
