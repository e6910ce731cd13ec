"""DICOMweb against Orthanc: what is polled has the features of what is sent, and is fetched once."""

import re
from datetime import date

import orthanc
import pytest
from intake_kit import RULE, case_id, cases_of, make_site, studies, take

from fedfin.broker.check.finding import Verdict
from fedfin.errors import LinkError, SettingsError
from fedfin_edge.doctor.archive import archive as asked
from fedfin_edge.doctor.archive import archive_at
from fedfin_edge.doctor.intake import intake
from fedfin_edge.intake.folder import open_intake

need_orthanc = pytest.mark.skipif(not orthanc.HERE, reason=orthanc.WITHOUT)
TODAY = f"{date.today():%Y%m%d}"  # noqa: DTZ011  as the archive's own day
pytestmark = need_orthanc


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Six studies of today and one of long ago, each with a view that counts and one that does not."""
    with orthanc.Orthanc(tmp_path_factory.mktemp("archive") / "orthanc") as server:
        for study in studies(7):
            when = "20200101" if study.number == 6 else TODAY
            for view in ("PA", "LL"):
                server.store(study.view(view, StudyDate=when))
        yield server


def test_what_is_polled_has_bit_for_bit_the_features_of_what_is_sent(tmp_path, bundles, archive):
    polled = make_site(tmp_path / "polled", bundles, RULE + archive.section)
    sent = make_site(tmp_path / "sent", bundles)
    take(polled)
    take(sent, [study.view(view) for study in studies(6) for view in ("PA", "LL")])
    one, other = cases_of(polled), cases_of(sent)
    assert len(one) == 6
    for study in studies(6):
        assert one[case_id(polled, study.accession)][1] == other[case_id(sent, study.accession)][1]


def test_what_is_safe_is_not_fetched_again_and_a_study_that_grows_is_looked_at_again(
    tmp_path, bundles, archive
):
    site = make_site(tmp_path / "site", bundles, RULE + archive.section)
    assert take(site)["image: taken"] == 6
    counts = take(site)
    assert counts["image: taken"] == 6
    archive.store(studies(1)[0].view("AP", StudyDate=TODAY))
    assert take(site)["image: taken"] == 7
    assert counts["image: view position is in no rule"] == 6


def test_after_a_corrected_rule_what_it_passed_over_is_fetched(tmp_path, bundles, archive):
    site = make_site(tmp_path / "site", bundles, RULE.replace('"PA", "AP"', '"LL"') + archive.section)
    assert take(site)["image: taken"] == 6
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace('"LL"', '"PA"'))
    take(reopen(site))
    with open_intake(site).open_store() as store:
        assert len(store.images()) == 12


def test_a_wrong_password_and_a_missing_server_are_named_without_what_was_asked(tmp_path, bundles, archive):
    site = make_site(tmp_path / "site", bundles, RULE + archive.section)
    (tmp_path / "password").write_text("wrong")
    settings = site.folder / "site.toml"
    text = settings.read_text()
    settings.write_text(text.replace(text.partition('password_file = "')[2].partition('"')[0], "../password"))
    with pytest.raises(LinkError, match=r"dicom-web: answers 401; .* check user and rights"):
        take(reopen(site))
    settings.write_text(text.replace(archive.address, "http://127.0.0.1:9"))
    with pytest.raises(LinkError, match="cannot be reached"):
        take(reopen(site))
    settings.write_text(text.replace("/password", "/nothing"))
    with pytest.raises(SettingsError, match="nothing: cannot read it"):
        take(reopen(site))


def reopen(site):
    """With the settings as they are now."""
    from fedfin_edge.site import open_site

    return open_site(site.folder)


FAULTS = {
    "well": ("", "", "answers for studies"),
    "the path is missing": ("/dicom-web", "", "HTTP 400; look whether its URL"),
    "the path is another": ("/dicom-web", "/dicomweb", "HTTP 404; look whether its URL"),
    "another password": (orthanc.PASSWORD, "guessed", "HTTP 401; check user, password or token"),
    "its page for people": (
        "/dicom-web",
        "/app/explorer.html?",
        "no application/dicom+json; correct its URL",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_doctor_fails_where_the_intake_would(tmp_path, bundles, archive, fault):
    """Whether or not the archive answers something."""
    old, new, words = FAULTS[fault]
    (tmp_path / "password").write_text(orthanc.PASSWORD.replace(old, new) if old else orthanc.PASSWORD)
    section = archive.section.replace(archive.password, str(tmp_path / "password"))
    site = make_site(tmp_path / "site", bundles, RULE + (section.replace(old, new) if old else section))
    (finding,) = intake(site)
    assert words in f"{finding.says}; {finding.remedy}"
    assert finding.verdict is (Verdict.PASS if fault == "well" else Verdict.FAIL)
    if finding.failed:
        with pytest.raises(LinkError, match=r"correct `url`|check user|answers 4"):
            take(site)


ECHOES = {
    "well": (orthanc.TITLE, "FEDFIN", f"{orthanc.TITLE} at 127.0.0.1:.* answers FEDFIN in"),
    # On a busy machine pynetdicom may see the connection's end before the rejection.
    "it is called otherwise": (
        "OTHER",
        "FEDFIN",
        "(does not take FEDFIN|does not answer); .*correct AE title",
    ),
    "it does not know us": (
        orthanc.TITLE,
        "STRANGER",
        "breaks off at its C-ECHO; have it know the AE title STRANGER",
    ),
}


@pytest.mark.parametrize("fault", ECHOES)
def test_the_doctor_asks_the_archive_whether_it_knows_us(archive, fault):
    called, calling, words = ECHOES[fault]
    place = archive_at(f"{called}@127.0.0.1:{archive.dicom_port}")
    finding = asked(place, calling=calling)
    assert re.search(words, f"{finding.says}; {finding.remedy}")
    assert finding.failed is (fault != "well")
