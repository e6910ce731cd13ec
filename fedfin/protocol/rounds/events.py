"""What a round machine hears of: messages of sites and shards, and what its server reports."""

from dataclasses import dataclass, field
from typing import NamedTuple

from fedfin import limits
from fedfin.protocol.messages.joining import Decline, Hello
from fedfin.protocol.messages.manifest import PartKind, Want
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.secure_sums import Consent, Dealing, Ready, Reveal
from fedfin.protocol.messages.shards import Deliver, Tally
from fedfin.protocol.messages.transfers import Begin, Chunk, Receipt
from fedfin.protocol.rounds.sum_effects import OpenSum


@dataclass(frozen=True)
class FromSite:
    """A message of one site."""

    site: str
    message: Hello | Begin | Want | Decline | Chunk | SiteState | Ready | Dealing | Consent | Reveal


@dataclass(frozen=True)
class FromShard:
    """A message of one shard, to a root."""

    index: int
    message: Tally | Deliver | Chunk


@dataclass(frozen=True)
class Delivers:
    """A site offers an update for this round to its shard."""

    site: str
    round: int


@dataclass(frozen=True)
class Enrolled:
    """These sites may take part, and no others: who has lost its seat is dropped, and told why."""

    sites: frozenset[str]
    reason: str


@dataclass(frozen=True)
class Seal:
    """Updates of this round are summed up elsewhere already: it closes, whatever the policy says."""


@dataclass(frozen=True)
class Payload:
    """What is published on the way to a model: its snapshot of a version, or the delta to it.

    `leaves`: of its data (transfer.py), if whoever made it knows them.
    """

    kind: PartKind
    version: int
    data: bytes
    leaves: bytes = b""


@dataclass(frozen=True)
class Opened:
    """The server stands at this round with this model, which has this id.

    `parts`: the way to it, the snapshot first, then the deltas without a gap; `receipts`: those already given in this
    round, by site; `earlier`: each site's newest of the rounds before; `chunk_size`: what one packet to the broker
    may carry of data; `late`: how many updates for earlier rounds are folded into this one already; `roster`: every
    known site, and whether it is silent (roster.py); `unopened`: a secure sum of this round that sites may
    have revealed shares of; `summed`: whom each secure sum of statistics before it holds.
    """

    round: int
    version: int
    model: bytes
    parts: tuple[Payload, ...]
    receipts: dict[str, Receipt]
    earlier: dict[str, Receipt]
    finished: bool = False
    chunk_size: int = limits.CHUNK_BYTES
    late: int = 0
    roster: dict[str, bool] = field(default_factory=dict)
    unopened: OpenSum | None = None
    summed: tuple[frozenset[str], ...] = ()


class Answer(NamedTuple):
    """The receipt for a site's update for a round."""

    site: str
    round: int
    receipt: Receipt


@dataclass(frozen=True)
class Judged:
    """Updates were checked and, those accepted, are durable."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class SumEnded:
    """A secure sum was opened, or given up, and what came of it is durable. `sites`: its survivors."""

    attempt: bytes
    sites: tuple[str, ...]
    receipt: Receipt


@dataclass(frozen=True)
class Disconnected:
    """The aggregator's own link is down: whatever time that takes, no site is to blame."""


@dataclass(frozen=True)
class Reconnected:
    """It is up again."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    FromSite
    | FromShard
    | Enrolled
    | Delivers
    | Opened
    | Judged
    | SumEnded
    | Seal
    | Disconnected
    | Reconnected
    | Tick
)
