"""Updates that are still arriving, in memory and on disk."""

from pathlib import Path

import pytest

from fedfin.errors import StateError
from fedfin_aggregator.store.spool import Spool

BOTH = pytest.mark.parametrize("memory", [100, 0], ids=["in memory", "on disk"])


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@BOTH
def test_chunks_in_any_order_make_the_whole(memory: int, tmp_path: Path) -> None:
    """And nothing of it stays."""
    spool = Spool(tmp_path, memory=memory)
    for offset, data in ((4, b"ef"), (0, b"abcd"), (0, b"abcd")):
        spool.put("s0", offset, data, 6)
        assert _files(tmp_path) == ([] if memory else ["s0"])
    assert spool.take("s0", 6) == b"abcdef"
    assert _files(tmp_path) == []


@BOTH
def test_what_came_in_one_piece_stays_whole_when_pieces_of_it_come_again(memory: int, tmp_path: Path) -> None:
    """It is kept as it came, where there is memory for it."""
    spool = Spool(tmp_path, memory=memory)
    for offset, data in ((2, b"cd"), (0, b"abcdef"), (4, b"ef"), (0, b"abcdef")):
        spool.put("s0", offset, data, 6)
    assert spool.take("s0", 6) == b"abcdef"


@BOTH
def test_a_shorter_update_after_an_abandoned_one_has_nothing_of_it(memory: int, tmp_path: Path) -> None:
    """Only as many bytes are read as were announced."""
    spool = Spool(tmp_path, memory=memory)
    spool.put("s0", 0, b"x" * 50, 100)
    spool.put("s0", 0, b"ab", 2)
    assert spool.take("s0", 2) == b"ab"


def test_memory_is_bounded(tmp_path: Path) -> None:
    """What does not fit goes to disk; what is taken or abandoned makes room."""
    spool = Spool(tmp_path, memory=100)
    for site in ("s0", "s1", "s2"):
        spool.put(site, 0, b"x", 40)
    assert _files(tmp_path) == ["s2"]
    spool.put("s0", 0, b"y" * 70, 70)  # it begins another one, for which there is no room yet
    assert _files(tmp_path) == ["s0", "s2"]
    assert spool.take("s1", 40) == b"x" + bytes(39)
    spool.put("s3", 0, b"z", 100)
    spool.put("s2", 1, b"x", 40)  # goes on where it began
    assert _files(tmp_path) == ["s0", "s2"]


def test_a_new_life_begins_with_an_empty_spool(tmp_path: Path) -> None:
    """What an earlier one left would never be asked for again."""
    Spool(tmp_path, memory=0).put("s0", 0, b"x", 1)
    Spool(tmp_path)
    assert _files(tmp_path) == []


def test_a_spool_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    """As when the disk is full."""
    spool = Spool(tmp_path / "spool", memory=0)
    (tmp_path / "spool").rmdir()
    with pytest.raises(StateError, match="spool"):
        spool.put("s0", 0, b"x", 1)
