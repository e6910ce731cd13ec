"""Control messages and chunks, as every channel decodes them."""

from fedfin.protocol.messages.channels import DownControl, ShardDownControl, ShardUpControl, UpControl
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.presence import AggregatorState, SiteState
from fedfin.protocol.messages.transfers import Chunk
from fuzz.scratch import REFUSED

KINDS = (
    UpControl,
    DownControl,
    ShardUpControl,
    ShardDownControl,
    Chunk,
    RoundManifest,
    SiteState,
    AggregatorState,
)


def fuzz(data: bytes) -> None:
    """What is taken is encoded as it came, or shorter."""
    for kind in KINDS:
        try:
            message = decode(data, kind)
        except REFUSED:
            continue
        assert decode(encode(message), kind) == message
