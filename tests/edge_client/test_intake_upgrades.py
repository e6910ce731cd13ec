"""Stores of the intake that earlier versions wrote are taken over: nothing is lost, and nothing is read again.

tests/upgrades holds them: what `fedfin edge intake` of that revision left of two images, a report and an odd file in a
watched folder, all invented.
"""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from intake_kit import studies

from fedfin.errors import StateError
from fedfin_edge.intake.identity import open_identity
from fedfin_edge.intake.intake_database import FORMAT, NOBODY, STORE
from fedfin_edge.intake.intake_store import IntakeStore

UPGRADES = Path(__file__).parents[1] / "upgrades"
FIRST, WITH_OWNERS = "intake-first", "intake-with-owners"  # revisions 8e1bb3b and fac2d56, both of format 1
ONE, TWO, _ = studies(3)


def unpack(name: str, folder: Path) -> Path:
    """An intake's folder, as that revision left it."""
    with tarfile.open(UPGRADES / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "intake"


def seen(folder: Path) -> list[tuple[bytes, ...]]:
    """What is noted of what polled sources had."""
    with closing(sqlite3.connect(folder / STORE)) as database:
        return database.execute("SELECT * FROM seen ORDER BY 1").fetchall()


@pytest.mark.parametrize("name", [FIRST, WITH_OWNERS])
def test_a_store_of_format_1_is_taken_over_with_all_that_it_holds(name: str, tmp_path: Path) -> None:
    """Whose each thing is stays known where it was."""
    folder = unpack(name, tmp_path)
    former = seen(folder)
    identity = open_identity(folder, make=False)
    owners = [identity.hash("accession", study.accession) for study in (ONE, TWO)]
    for _ in range(2):
        with IntakeStore(folder / STORE, identity) as store:
            assert sorted(image.owner for image in store.images()) == sorted(owners)
            assert [report.owner for report in store.reports()] == owners[:1]
            assert all(store.progress.was_seen(mark) for mark, *_ in former)
    assert len(former) == 4
    assert seen(folder) == [(mark, (*owner, None)[0] or NOBODY) for mark, *owner in former]


def test_after_the_upgrade_what_is_forgotten_is_read_again(tmp_path: Path) -> None:
    folder = unpack(WITH_OWNERS, tmp_path)
    identity = open_identity(folder, make=False)
    with IntakeStore(folder / STORE, identity) as store:
        store.forget([], [identity.hash("accession", ONE.accession)], bar=False)
    assert len(seen(folder)) == 2


def test_a_newer_versions_store_is_refused_and_not_changed(tmp_path: Path) -> None:
    folder = unpack(WITH_OWNERS, tmp_path)
    with closing(sqlite3.connect(folder / STORE)) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = seen(folder)
    with pytest.raises(StateError, match="made by another version"):
        IntakeStore(folder / STORE, open_identity(folder, make=False))
    assert seen(folder) == before
