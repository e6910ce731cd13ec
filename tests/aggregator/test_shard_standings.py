"""The coordinator's word on a site of a shard: it counts where the site's updates are judged."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from round_helpers import RUN
from second_moment_rounds import SITES, answer, new_shard, started

from fedfin.errors import StateError
from fedfin.protocol.shards.shard import Shard
from fedfin_aggregator.folder import ROOT
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.standings import decide
from fedfin_aggregator.store.outlier_records import Standing


def collecting_shard(folder: Path, sites: list[str]) -> ShardRounds:
    """In the round of second moments; these sites have given theirs."""
    shard = new_shard(folder, Shard(0, 1))
    shard.open(SimpleNamespace(run=RUN, round=2, task="second_moments", version=1))
    for site in sites:
        answer(shard, site)
    return shard


@pytest.mark.parametrize("word", ["left out", "included"])
def test_a_shard_s_sum_is_without_whom_the_coordinator_left_out_meanwhile(
    word: Standing, tmp_path: Path
) -> None:
    """Bit for bit; its second moments may come in a later round. The other word takes nothing out."""
    counted = [site for site in SITES if site != "s1" or word == "included"]
    shard = collecting_shard(tmp_path / "shard", list(SITES))
    decide(tmp_path / "shard", ["s1"], word)
    assert shard.sum_up(2) == collecting_shard(tmp_path / "plain", counted).sum_up(2)
    assert ("s1" in shard.journal.updates.gave_second_moments(before=3)) == ("s1" in counted)


def test_a_root_refuses_the_word_and_names_who_takes_it(tmp_path: Path) -> None:
    """It judges no site's update: there the word would do nothing."""
    journal = started(tmp_path / "root").journal
    journal.claim(f"{ROOT} 2 shards")
    with pytest.raises(StateError, match=r"belongs to the root of 2 shards, .* name the folder of the shard"):
        decide(tmp_path / "root", ["s1"], "left out")
    assert not journal.outliers.all()
