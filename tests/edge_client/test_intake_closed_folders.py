"""A watched folder that the intake's user may not look into is not taken for an empty one."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from intake_kit import RULE, make_site, open_service
from unprivileged import nobody

from fedfin.broker.check.finding import Verdict
from fedfin.errors import InputError
from fedfin_edge.doctor.intake import intake
from fedfin_edge.intake.watched_folder import WatchedFolder


@pytest.fixture
def incoming() -> Iterator[Path]:
    """A folder that every user can reach, with two folders in it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name in ("one", "two"):
        (folder / name).mkdir(mode=0o755)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("closed", "says"),
    [
        (".", "is not a folder that can be read"),
        ("one", "1 folders in it cannot be read"),
        ("", ""),
    ],
)
def test_what_may_not_be_read_of_a_watched_folder_is_told_by_the_poll_and_the_doctor(
    tmp_path, bundles, incoming, closed, says
) -> None:
    """Of folders in it only how many: their names may be patients'."""
    site = make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{incoming}"\n')
    if closed:
        (incoming / closed).chmod(0o200)
    with open_service(site) as service:
        settings = site.settings.intake.folder
        source = WatchedFolder(settings, site.folder, service._folder, service._reception, service._store)
        with nobody():
            (finding,) = intake(site)
            refused = pytest.raises(InputError, match=says) if says else contextlib.nullcontext()
            with refused:
                assert source.poll() == 0
    assert finding.verdict is (Verdict.FAIL if says else Verdict.PASS)
    assert says in finding.says


def test_a_folder_of_which_nothing_may_be_removed_is_told_where_it_is_to_be_emptied(
    tmp_path, bundles, incoming
) -> None:
    section = f'{RULE}\n[intake.folder]\npath = "{incoming}"\nremove = true\n'
    site = make_site(tmp_path / "site", bundles, section)
    incoming.chmod(0o555)
    with nobody():
        (finding,) = intake(site)
    assert finding.verdict is Verdict.FAIL
    assert "nothing may be removed" in finding.says
    assert "intake.folder.remove = false" in finding.remedy
