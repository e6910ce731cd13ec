"""What `fedfin edge doctor` says of a site's own settings and files, where nobody else need answer."""

import sys
from pathlib import Path

import pytest
from intake_kit import RULE, make_site

from fedfin.broker.check.finding import Verdict
from fedfin_edge.doctor.cases import cases
from fedfin_edge.doctor.intake import intake


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
