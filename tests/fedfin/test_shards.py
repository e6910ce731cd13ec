"""Which shard a site belongs to, and where shards speak."""

import pytest

from fedfin.errors import SettingsError
from fedfin.protocol.shards.shard import Shard
from fedfin.protocol.topics import Topics


def test_every_site_has_exactly_one_shard() -> None:
    """And shards are about equally large."""
    shards = [Shard.parse(f"{i}/4") for i in range(4)]
    served = {f"site-{n}": [s.index for s in shards if s.serves(f"site-{n}")] for n in range(1000)}
    assert all(len(indices) == 1 for indices in served.values())
    sizes = [sum(indices == [i] for indices in served.values()) for i in range(4)]
    assert min(sizes) > 200


def test_the_shard_of_a_site_never_changes() -> None:
    """It is in no message: every machine, and every version of this code, must find the same one."""
    owners = [next(i for i in range(3) if Shard(i, 3).serves(f"s{n}")) for n in range(8)]
    assert owners == [2, 1, 2, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", "0/257", "a/b", "0/2/3", "0 /2"])
def test_a_shard_is_written_index_of_count(text: str) -> None:
    """Anything else is an error that says how."""
    with pytest.raises(SettingsError, match="INDEX/COUNT such as 0/2"):
        Shard.parse(text)


def test_shards_have_topics_of_their_own_within_seven_levels() -> None:
    """No site's name leads there."""
    topics = Topics("ward")
    topic = topics.party(Shard(1, 2).name, "up/chunk")
    assert topic == "fedfin/1/ward/shard/1/up/chunk"
    assert topic.count("/") == 6
    assert topics.parse_up(topic) == ("shard/1", "up/chunk")
    assert topics.party("s0", "dn/ctl") == topics.site("s0", "dn/ctl")
    for odd in ("shard/x", "shard/-1", "shard/1/1", "shard", "site/shard/1"):
        assert topics.parse_up(f"fedfin/1/ward/{odd}/up/ctl") is None
