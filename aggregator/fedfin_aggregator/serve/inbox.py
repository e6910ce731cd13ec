"""What comes up from sites and shards: opened, decoded, and as the machine hears it."""

from collections.abc import Callable
from typing import Any

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.protocol.messages.channels import ShardUpControl, UpControl
from fedfin.protocol.messages.joining import Evict
from fedfin.protocol.messages.message import decode
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Chunk
from fedfin.protocol.rounds.events import FromShard, FromSite
from fedfin.protocol.shards.shard import is_shard
from fedfin.protocol.versions import foreign_hello
from fedfin.trust.channel import AggregatorEnd


class Inbox:
    """`evict` tells a party that it is dropped."""

    def __init__(self, channel: AggregatorEnd, evict: Callable[[str, Evict], None]) -> None:
        self._channel, self._evict = channel, evict

    def open(self, party: str, channel: str, topic: str, payload: bytes) -> Any:
        """The message of a site or shard. Raises ProtocolError."""
        payload = self._channel.receive(party, topic, payload)
        if channel == "up/ctl":
            return self._control(party, payload)
        if channel == "up/chunk":
            return decode(payload, Chunk, limit=limits.MOST_PACKET_BYTES)
        return decode(payload, SiteState)

    def _control(self, party: str, payload: bytes) -> Any:
        """Raises ProtocolError; a site of a version that does not go with this one is evicted, too."""
        try:
            return decode(payload, ShardUpControl if is_shard(party) else UpControl)
        except ProtocolError:
            if (reason := foreign_hello(payload)) is not None:
                self._evict(party, Evict(reason=reason))
            raise


def heard(party: str, message: Any) -> FromSite | FromShard:
    """The event for the machine."""
    if is_shard(party):
        return FromShard(int(party.partition("/")[2]), message)
    return FromSite(party, message)
