"""What `fedfin edge doctor` says of a site's own settings and files, where nobody else need answer."""

from pathlib import Path

from intake_kit import make_site

from fedfin.broker.check.finding import Verdict
from fedfin_edge.doctor.cases import cases


def test_a_fresh_intake_site_is_not_sent_to_correct_a_table_that_nobody_writes(tmp_path: Path, bundles):
    """As `init --intake` leaves it: the intake takes cases, then `encode` writes the table."""
    site = make_site(tmp_path / "site", bundles)
    (finding,) = cases(site)
    assert finding.verdict is Verdict.FAIL
    assert finding.remedy == (
        f"let `fedfin edge intake {site.folder}` take cases, then fedfin edge encode {site.folder}"
    )
