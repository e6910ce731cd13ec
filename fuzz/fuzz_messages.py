"""Control messages and chunks, as every channel decodes them."""

from fedfin.protocol import messages
from fuzz.scratch import REFUSED

KINDS = (
    messages.UpControl,
    messages.DownControl,
    messages.ShardUpControl,
    messages.ShardDownControl,
    messages.Chunk,
    messages.RoundManifest,
    messages.SiteState,
    messages.AggregatorState,
)


def fuzz(data: bytes) -> None:
    """What is taken is encoded as it came, or shorter."""
    for kind in KINDS:
        try:
            message = messages.decode(data, kind)
        except REFUSED:
            continue
        assert messages.decode(messages.encode(message), kind) == message
