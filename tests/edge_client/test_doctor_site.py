"""What `fedfin edge doctor` says of a site's own settings and files, where nobody else need answer."""

import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import pytest
from intake_kit import RULE, make_site, open_service

from benchmarks.transport.certificates import Authority
from fedfin.broker.check.finding import Finding, Verdict
from fedfin.command_line.main import main
from fedfin.demo.processes import free_port
from fedfin.plan_sections import Privacy, Rounds
from fedfin_edge.agent.state import AgentState, Proposal
from fedfin_edge.cases.counts import CaseCounts
from fedfin_edge.doctor import versions
from fedfin_edge.doctor.cases import cases
from fedfin_edge.doctor.examination import examine
from fedfin_edge.doctor.intake import intake
from fedfin_edge.doctor.intake_room import intake_room
from fedfin_edge.doctor.intake_section import intake_section
from fedfin_edge.doctor.plan import plan
from fedfin_edge.doctor.secrets import secrets
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.sources import servers
from fedfin_edge.site import COUNTS, Site, open_site


def test_a_fresh_intake_site_is_not_sent_to_correct_a_table_that_nobody_writes(tmp_path: Path, bundles):
    """As `init --intake` leaves it: the intake takes cases, then `encode` writes the table."""
    site = make_site(tmp_path / "site", bundles)
    (finding,) = cases(site)
    assert finding.verdict is Verdict.FAIL
    assert finding.remedy == (
        f"let `fedfin edge intake {site.folder}` take cases, then fedfin edge encode {site.folder}"
    )


TABLES = {
    "away": (None, "there is no such table"),
    "random bytes": (bytes(range(128, 256)), "labels.csv"),
    "no accession": (b"number,effusion,mass\nA-1,1,0\n", "has no column 'accession'"),
    "no label": (b"accession,effusion\nA-1,1\n", "has no column 'mass'"),
    "no header": (b"A-4711,1,0\nA-4712,0,1\n", "has no column 'accession', 'effusion', 'mass'"),
    "well": (b"accession,effusion,mass\nA-1,1,0\n", ""),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_labels_that_the_intake_cannot_use_fails(tmp_path: Path, bundles, kind: str):
    """With what to mend, and without a cell of it: where there is no header, cells are its columns."""
    data, words = TABLES[kind]
    site = make_site(tmp_path / "site", bundles, RULE + '[intake.labels]\ntable = "labels.csv"\n')
    if data is not None:
        (site.folder / "labels.csv").write_bytes(data)
    (finding,) = intake(site)
    assert finding.verdict is (Verdict.FAIL if words else Verdict.PASS)
    assert words in finding.says
    assert bool(finding.remedy) is bool(words)
    assert "A-47" not in finding.says + finding.remedy


def test_rows_of_a_table_of_labels_that_are_left_out_are_told(tmp_path: Path, bundles):
    """All that follows a quote which is never closed."""
    site = make_site(tmp_path / "site", bundles, RULE + '[intake.labels]\ntable = "labels.csv"\n')
    (site.folder / "labels.csv").write_text('accession,effusion,mass\nA1,1,0\n"A2,1,0\nA3,1,0\n')
    (found,) = intake(site)
    assert (found.verdict, "left out: 1; row 3 a quote" in found.says) == (Verdict.WARN, True)


def test_a_workbook_of_labels_that_nothing_here_reads_does_not_end_the_examination(
    tmp_path: Path, bundles, monkeypatch: pytest.MonkeyPatch
):
    """It fails by itself, with what to install."""
    site = make_site(tmp_path / "site", bundles, RULE + '[intake.labels]\ntable = "labels.xlsx"\n')
    (site.folder / "labels.xlsx").write_bytes(b"PK\x03\x04")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (finding,) = intake(site)
    assert finding.verdict is Verdict.FAIL
    assert finding.says.endswith("openpyxl is not installed")
    assert finding.remedy == "pip install 'fedfin[tables]'"


REFUSED = {
    "no such modality": (('reports = "text"', 'reports = "report"'), "there is no modality 'report'"),
    "an encoder of images for reports": (
        ('reports = "text"', 'reports = "image"'),
        "'image' has no encoder of texts",
    ),
    "no certificate": (
        ("[intake.dicom]", '[intake.dicom]\ncertificate = "own.pem"\nkey = "own.key"'),
        "cannot use the TLS files of the intake",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_settings_that_the_intake_refuses_fail_in_the_doctor_with_the_same_exit_code(
    tmp_path: Path, bundles, kind: str
):
    """Both in the intake's own words."""
    (old, new), words = REFUSED[kind]
    site = make_site(tmp_path / "site", bundles, listening().replace(old, new))
    found = {finding.probe: (finding, code) for finding, code in examine(site.folder)}
    finding, code = found["[intake]"]
    assert finding.verdict is Verdict.FAIL
    assert words in finding.says
    assert finding.remedy
    assert code == main(["edge", "intake", str(site.folder), "--processes", "0"]) == 3


def listening() -> str:
    """A section [intake] with a listener."""
    return f"{RULE}[intake.dicom]\nport = {free_port()}\n"


def test_settings_that_the_intake_takes_pass_and_a_site_without_one_has_no_such_line(
    tmp_path: Path, bundles, maker
):
    """It has a table of its own."""
    (finding,) = intake_section(make_site(tmp_path / "intake", bundles, listening()))
    assert finding.verdict is Verdict.PASS
    row = {"case": "a", "patient": "p", "image": maker.image("a.png"), "text": "clear lungs", "effusion": 1}
    assert list(intake_section(maker.site(maker.table([row])))) == []


ROOM = {
    "well": ("least_free_mb = 1", Verdict.PASS, "1 of 20,000 files wait", ""),
    "queue": (
        "most_queued = 1",
        Verdict.FAIL,
        "1 of 1 files wait: senders are refused",
        "start `fedfin edge intake`",
    ),
    "disk": (
        "least_free_mb = 900000000",
        Verdict.FAIL,
        "fewer than 900,000,000 MB are free",
        "lower intake.least",
    ),
}


@pytest.mark.parametrize("kind", ROOM)
def test_a_full_queue_or_disk_fails_with_its_remedy(tmp_path: Path, bundles, kind: str):
    """As the intake refuses; and what was set aside does not count."""
    key, verdict, says, remedy = ROOM[kind]
    site = make_site(tmp_path / "site", bundles, RULE.replace("least_free_mb = 1", key))
    spool = site.intake_path / "spool"
    spool.mkdir(parents=True)
    for name in ("000000000001.dicom", "000000000002.dicom.aside"):
        (spool / name).touch()
    found = {finding.probe: finding for finding, _ in examine(site.folder)}["intake's room"]
    assert found.verdict is verdict
    assert says in found.says
    assert remedy in found.remedy


def test_room_is_looked_at_before_the_intake_ever_ran_and_a_site_without_one_has_no_such_line(
    tmp_path: Path, bundles, maker
):
    """Its folder is not there yet."""
    settings = RULE.replace("least_free_mb = 1", "least_free_mb = 900000000")
    (finding,) = intake_room(make_site(tmp_path / "intake", bundles, settings))
    assert finding.failed
    row = {"case": "a", "patient": "p", "image": maker.image("a.png"), "text": "clear lungs", "effusion": 1}
    assert list(intake_room(maker.site(maker.table([row])))) == []


def test_a_damaged_bundle_is_not_blamed_on_the_intake(tmp_path: Path, bundles):
    """The line of its encoder names it."""
    site = make_site(tmp_path / "site", bundles, listening())
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace(str(bundles["text"]), str(tmp_path / "away")))
    found = {finding.probe: finding for finding, _ in examine(site.folder)}
    assert found["encoder text"].failed
    assert found["[intake]"].verdict is Verdict.NOT_REACHED


@pytest.mark.parametrize(
    ("old", "new", "probe", "verdict", "words"),
    [
        ('"effusion"', '"efusion"', "plan's labels", Verdict.WARN, "does not use efusion"),
        ('federation = "chest"', 'federation = "chst"', "plan's federation", Verdict.FAIL, "of 'chest'"),
    ],
)
def test_what_is_misspelt_beside_the_plan_is_named(
    tmp_path: Path, bundles, make_plan, old: str, new: str, probe: str, verdict: Verdict, words: str
):
    """The plan that came last says how it is spelt; of a site that is well there is one line, a PASS."""
    site = make_site(tmp_path / "site", bundles)
    AgentState(site.state_path).propose(Proposal(make_plan(), "r" * 16))
    assert [finding.verdict for finding in plan(site)] == [Verdict.PASS]
    settings = site.folder / "site.toml"
    assert old in settings.read_text()
    settings.write_text(settings.read_text().replace(old, new))
    found = {finding.probe: finding for finding in plan(open_site(site.folder))}
    assert found[probe].verdict is verdict
    assert words in found[probe].says
    assert found[probe].remedy


def test_an_intake_key_that_others_may_read_is_named(tmp_path: Path, bundles):
    """With it anybody may tell whether a given patient is here."""
    site = make_site(tmp_path / "site", bundles)
    open_intake(site, make=True)
    (well,) = secrets(site)
    assert well.verdict is Verdict.PASS
    key = site.intake_path / "intake.key"
    key.chmod(0o644)
    (open_to_others,) = secrets(site)
    assert open_to_others.verdict is Verdict.WARN
    assert open_to_others.remedy == f"chmod go-rwx {key}"


def test_what_the_intake_lacks_is_named_with_what_to_install_and_its_sources_are_not_blamed(
    tmp_path: Path, bundles, monkeypatch: pytest.MonkeyPatch
):
    """As where `fedfin[edge]` is installed, which is all that a site with a table needs."""
    site = make_site(tmp_path / "site", bundles, listening())
    monkeypatch.setattr(versions, "version", without("hl7", "pynetdicom"))
    found = {finding.probe: (finding, code) for finding, code in examine(site.folder)}
    finding, code = found["intake's versions"]
    assert (finding.says, code) == ("pynetdicom, hl7 not installed", 11)
    assert finding.remedy == "pip install 'fedfin[hospital]'"
    assert found["versions"][0].verdict is Verdict.PASS
    assert found["intake"][0].says == "not reached because intake's versions failed"


def without(*names: str) -> Callable[[str], str]:
    """`importlib.metadata.version` of an environment where these are not."""

    def found(name: str) -> str:
        if name in names:
            raise PackageNotFoundError(name)
        return version(name)

    return found


def test_a_site_without_an_intake_needs_none_of_its_packages(maker, monkeypatch: pytest.MonkeyPatch):
    """It has a table."""
    monkeypatch.setattr(versions, "version", without(*versions.INTAKE))
    row = {"case": "a", "patient": "p", "image": maker.image("a.png"), "text": "clear lungs", "effusion": 1}
    assert list(versions.intake_versions(maker.site(maker.table([row])))) == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The hospital's CA."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return Authority(tmp_path_factory.mktemp("pki") / "ours")


@pytest.fixture
def answering(tmp_path: Path, bundles, authority: Authority) -> Iterator[tuple[Site, str]]:
    """A site whose intake listens over TLS, and how [intake.archive] names this very listener."""
    pair, port = authority.issue("server", hosts=("DNS:localhost",)), free_port()
    tls = f'certificate = "{pair.certificate}"\nkey = "{pair.key}"\n'
    site = make_site(tmp_path / "site", bundles, f"{RULE}[intake.dicom]\nport = {port}\n{tls}")
    place = f'\n[intake.archive]\nae_title = "FEDFIN"\nhost = "localhost"\nport = {port}\n'
    with open_service(site) as service:
        (dicom,) = servers(site, service._folder, service._reception, service._report).values()
        with dicom:
            yield site, place


def asked(site: Site, section: str) -> dict[str, Finding]:
    """Of the sources, once site.toml has this, too."""
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text() + section)
    return {finding.probe: finding for finding in intake(open_site(site.folder))}


def test_both_ways_of_an_archive_are_asked_over_tls(answering, authority: Authority):
    """The way in by the certificate that site.toml names; the way out by the CA that [intake.archive] names."""
    site, place = answering
    found = asked(site, f'{place}ca = "{authority.ca}"\n')
    assert {name: finding.verdict for name, finding in found.items()} == {
        "archive sends here": Verdict.PASS,
        "archive answers": Verdict.PASS,
    }
    assert all("over TLS answers" in finding.says for finding in found.values())


def test_an_archive_that_another_ca_answers_for_does_not_answer(
    answering, tmp_path_factory: pytest.TempPathFactory
):
    """Nor one whose CA cannot be read."""
    site, place = answering
    other = Authority(tmp_path_factory.mktemp("pki") / "other")
    found = asked(site, f'{place}ca = "{other.ca}"\n')
    assert found["archive sends here"].verdict is Verdict.PASS
    assert found["archive answers"].failed
    other.ca.unlink()
    away = asked(site, "")["archive answers"]
    assert (away.failed, away.remedy) == (True, "correct intake.archive.ca")


def test_a_listener_with_another_certificate_than_site_toml_names_fails(answering, authority: Authority):
    """As one that was not started again since."""
    site, _ = answering
    pair, settings = authority.issue("renewed", hosts=("DNS:localhost",)), site.folder / "site.toml"
    text = settings.read_text()
    for old, new in (("server.pem", pair.certificate.name), ("server.key", pair.key.name)):
        assert old in text, text
        text = text.replace(old, new)
    settings.write_text(text)
    assert asked(site, "")["archive sends here"].failed


def test_a_site_with_few_cases_for_the_plan_s_dimensions_is_warned(tmp_path: Path, bundles, make_plan):
    """As if every site had as many; with what to ask the coordinator for. Nothing is said while nobody has counted."""
    site = make_site(tmp_path / "site", bundles)
    changes = {"privacy": Privacy(level="secure"), "rounds": Rounds(sites=3, min_sites=3)}
    asked = msgspec.structs.replace(make_plan(), **changes)
    AgentState(site.state_path).propose(Proposal(asked, "r" * 16, least_sites=3))
    assert "plan's dimensions" not in {finding.probe for finding in plan(site)}
    counts = CaseCounts("2026-01-01T00:00:00Z", 10, 100, {}, {})
    (site.folder / COUNTS).write_bytes(msgspec.json.encode(counts))
    (warned,) = (finding for finding in plan(site) if finding.probe == "plan's dimensions")
    assert warned.verdict is Verdict.WARN
    assert warned.says.startswith(
        "if all 3 sites have as many cases as this one and every fifth patient has every modality, 60 patients are"
    )
    assert "drafted with --patients" in warned.remedy
