"""docs/protocol.md says what the code says."""

from pathlib import Path
from typing import get_args

from fedfin.protocol import sequence_diagram, state_diagrams
from fedfin.protocol.messages.channels import DownControl, ShardDownControl, ShardUpControl, UpControl
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.payloads import GlobalDelta, GlobalModel, Update
from fedfin.protocol.topics import Topics
from fedfin_aggregator.fold.partial_sum import PartialSum

DOC = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def test_the_diagrams_are_the_tables() -> None:
    """Generated, not drawn: run `python -m fedfin.protocol.state_diagrams` after a change."""
    assert DOC.endswith(state_diagrams.diagrams() + "\n")


def test_it_opens_with_one_round_as_the_machines_play_it() -> None:
    """Generated, not drawn: run `python -m fedfin.protocol.sequence_diagram` after a change."""
    first, _, rest = DOC.partition("```mermaid\n")[2].partition("\n```")
    assert first == sequence_diagram.sequence()
    assert "## Messages" in rest


def test_the_round_ends_with_every_site_at_work_on_the_next() -> None:
    """An update of each is received and folded, and what it made has come to each: nobody waits."""
    lines = sequence_diagram.Recorder().play()
    assert [line for line in lines if line.endswith("receipt")] == [
        f"aggregator->>{site}: receipt" for site in sequence_diagram.SITES
    ]
    assert [line.partition(":")[0] for line in lines[-2:]] == [
        f"Note over {site}" for site in sequence_diagram.SITES
    ]


def test_every_message_is_listed() -> None:
    """By its kind on the wire."""
    kinds = {
        kind.__struct_config__.tag
        for kind in get_args(UpControl | DownControl | ShardUpControl | ShardDownControl)
    }
    for kind in kinds | {"chunk", "sitestate", "aggregatorstate"}:
        assert f"`{kind}`" in DOC


def test_every_payload_is_listed() -> None:
    """By its kind on the wire."""
    for kind in (Update, GlobalModel, GlobalDelta, PartialSum):
        assert f"| `{kind.__struct_config__.tag}` |" in DOC


def test_every_topic_is_listed() -> None:
    """As the code writes it."""
    topics = Topics("{federation}")
    channels = ("up/state", "up/ctl", "up/chunk", "dn/ctl", "dn/chunk")
    wanted = [topics.site("{site}", channel) for channel in channels]
    parts = [topics.chunk(kind, 0, 0).replace("0/0", "{version}/{i}") for kind in get_args(PartKind)]
    wanted += [topics.party("shard/{i}", channel) for channel in channels[:-1]]
    for topic in [*wanted, topics.aggregator_state, topics.manifest, *parts]:
        assert f"\n{topic} " in DOC
