"""What a shard's machine hears of: messages of its sites and of its root, and what its shell reports."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.shards import Enough, Heard, Rewind
from fedfin.protocol.messages.transfers import Missing, Receipt
from fedfin.protocol.rounds.events import FromSite, Judged, Tick
from fedfin.protocol.site.events import Connected, Disconnected, Published


@dataclass(frozen=True)
class RoundOpened:
    """What the shell has of the round: receipts given in it and before, and its sum if there is one already.

    `late`: the sites with an update for an earlier round that counts in this one.
    """

    receipts: Mapping[str, Receipt]
    earlier: Mapping[str, Receipt]
    late: tuple[str, ...] = ()
    sum: bytes = b""
    settled: bool = False  # the root has the sum


@dataclass(frozen=True)
class Summed:
    """The round's sum is made and durable."""

    payload: bytes


Event = (
    Connected
    | Disconnected
    | Published
    | Tick
    | FromSite
    | Judged
    | Welcome
    | RoundManifest
    | RoundOpened
    | Summed
    | Enough
    | Heard
    | Rewind
    | Missing
    | Receipt
    | Evict
)
