"""Updates that are still arriving, on disk."""

from pathlib import Path

import pytest

from aggregator.spool import Spool
from fedfin.errors import StateError


def test_chunks_in_any_order_make_the_whole(tmp_path: Path) -> None:
    """And nothing of it stays."""
    spool = Spool(tmp_path / "spool")
    for offset, data in ((4, b"ef"), (0, b"abcd"), (0, b"abcd")):
        spool.put("s0", offset, data)
    assert spool.take("s0", 6) == b"abcdef"
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_shorter_update_after_an_abandoned_one_has_nothing_of_it(tmp_path: Path) -> None:
    """Only as many bytes are read as were announced."""
    spool = Spool(tmp_path / "spool")
    spool.put("s0", 0, b"x" * 100)
    spool.put("s0", 0, b"ab")
    assert spool.take("s0", 2) == b"ab"


def test_a_new_life_begins_with_an_empty_spool(tmp_path: Path) -> None:
    """What an earlier one left would never be asked for again."""
    Spool(tmp_path / "spool").put("s0", 0, b"x")
    Spool(tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spool_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    """As when the disk is full."""
    spool = Spool(tmp_path / "spool")
    (tmp_path / "spool").rmdir()
    with pytest.raises(StateError, match="spool"):
        spool.put("s0", 0, b"x")
