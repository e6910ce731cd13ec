"""The life of a round at the aggregator: its states, the events it heeds, the effects it asks for.

LEGAL is the whole of it: which event is heeded in which state, and where that can lead.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from fedfin import limits
from fedfin.declines import Cause
from fedfin.protocol.life import Life
from fedfin.protocol.messages.joining import Decline, Hello
from fedfin.protocol.messages.manifest import PartKind, RoundManifest, Want
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.secure_sums import Consent, Dealing, Ready, Reveal
from fedfin.protocol.messages.shards import Tally
from fedfin.protocol.messages.transfers import Begin, Chunk, Outline, Receipt
from fedfin.protocol.sum_states import (
    AwaitCohort,
    FixSum,
    GiveUpSum,
    KeepSum,
    NewSum,
    NoCohort,
    OpenSum,
    SumEnded,
    TellOutcome,
)


class State(Enum):
    """Where the current round stands."""

    STARTING = "starting"  # the server has not yet said which round it is
    COLLECTING = "collecting"  # updates come in
    FOLDING = "folding"  # enough came, or the deadline passed: the server makes the next version
    FINISHED = "finished"  # the last round is folded; sites may still fetch the final model


@dataclass(frozen=True)
class FromSite:
    """A message of one site."""

    site: str
    message: Hello | Begin | Want | Decline | Chunk | SiteState | Ready | Dealing | Consent | Reveal


@dataclass(frozen=True)
class FromShard:
    """A message of one shard, to a root."""

    index: int
    message: Tally | Begin | Chunk


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


@dataclass(frozen=True)
class Send:
    """Publish on a site's down channel."""

    site: str
    channel: str
    message: Message


@dataclass(frozen=True)
class SendChunks:
    """Publish these chunks of a part on a site's down channel: it lacks them."""

    site: str
    kind: PartKind
    version: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class PublishPart:
    """Publish a part's chunks, retained."""

    payload: Payload
    outline: Outline


@dataclass(frozen=True)
class PublishManifest:
    """Publish the round's manifest, retained. After the chunks, so that who reads it finds them."""

    manifest: RoundManifest


@dataclass(frozen=True)
class ClearParts:
    """Clear the chunks of every part that is not one of these. After the manifest, which names these only."""

    listed: tuple[tuple[PartKind, int], ...]


@dataclass(frozen=True)
class Spool:
    """Keep a part of the site's update, of `size` bytes in all, where it belongs until the rest is here."""

    site: str
    offset: int
    data: bytes
    size: int


@dataclass(frozen=True)
class Judge:
    """Check the update that was spooled, now complete, against the plan; make it durable; report Judged.

    `checked`: that it is what its id says is known already. Several may be judged together, and one Judged report
    them all.
    """

    site: str
    round: int
    id: bytes
    size: int
    checked: bool = True


@dataclass(frozen=True)
class CloseRound:
    """Fold what was accepted into the next version, keep the roster, and report Opened with the next round."""

    round: int
    roster: dict[str, bool]


@dataclass(frozen=True)
class Seen:
    """A site's state, which the broker keeps: it came, or went."""

    site: str
    state: SiteState


@dataclass(frozen=True)
class BeginLife:
    """Make it durable that the rounds go on in a new life: `site` has seen round `seen`, which we know nothing of.

    At a root, that its shards' sums of the open round are gone, too.
    """

    life: Life
    round: int
    site: str
    seen: int


@dataclass(frozen=True)
class Refused:
    """For people: a site's offer was refused before any of it was sent."""

    site: str
    round: int
    id: bytes
    reason: str


@dataclass(frozen=True)
class Declined:
    """For people: a site takes no part, and is not waited for."""

    site: str
    round: int
    cause: Cause


@dataclass(frozen=True)
class Throttled:
    """So many messages were more than their senders may send, and were dropped; `sites`: who sent most of them."""

    messages: int
    sites: str


@dataclass(frozen=True)
class Stalled:
    """The deadline passed with fewer than the quorum: the round goes on for another one.

    `missed`: the sites that it waited for.
    """

    round: int
    accepted: int
    quorum: int
    missed: tuple[str, ...]


@dataclass(frozen=True)
class Awaiting:
    """For people: the round is open, and these sites have not answered; after `seconds` it can close without them."""

    round: int
    accepted: int
    quorum: int
    sites: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Lacking:
    """The round is closed, and these shards have not delivered its sum yet."""

    round: int
    shards: tuple[str, ...]


@dataclass(frozen=True)
class Rewinding:
    """For people: the root was set back to this round, and these shards have not followed yet; sites wait for them."""

    round: int
    shards: tuple[str, ...]


@dataclass(frozen=True)
class Unheard:
    """For people: a round is open, and these shards have said nothing for `seconds` or more."""

    round: int
    shards: tuple[str, ...]
    seconds: float


Effect = (
    Send
    | SendChunks
    | PublishPart
    | PublishManifest
    | ClearParts
    | Spool
    | Judge
    | CloseRound
    | Seen
    | BeginLife
    | Refused
    | Declined
    | Throttled
    | NewSum
    | FixSum
    | KeepSum
    | OpenSum
    | GiveUpSum
    | AwaitCohort
    | NoCohort
    | TellOutcome
    | Stalled
    | Awaiting
    | Lacking
    | Rewinding
    | Unheard
)
Receiving = Send | Spool | Judge  # what taking updates in asks for

_S = State
LEGAL: dict[State, dict[type, tuple[State, ...]]] = {
    _S.STARTING: {Opened: (_S.COLLECTING, _S.FOLDING, _S.FINISHED)},
    _S.COLLECTING: {
        FromSite: (_S.COLLECTING,),
        Opened: (_S.COLLECTING, _S.FOLDING),  # a root's round anew, in another life
        Enrolled: (_S.COLLECTING, _S.FOLDING),
        Judged: (_S.COLLECTING, _S.FOLDING),
        SumEnded: (_S.COLLECTING, _S.FOLDING),
        Disconnected: (_S.COLLECTING,),
        Reconnected: (_S.COLLECTING,),
        Delivers: (_S.COLLECTING,),
        Seal: (_S.FOLDING,),
        Tick: (_S.COLLECTING, _S.FOLDING),
    },
    # Updates that were complete when the round closed are in it, and get their receipts. A root may have to wait for
    # its shards' sums: meanwhile sites are welcome, and fetch what they lack.
    _S.FOLDING: {
        FromSite: (_S.FOLDING,),
        Enrolled: (_S.FOLDING,),
        Judged: (_S.FOLDING,),
        Delivers: (_S.FOLDING,),
        Disconnected: (_S.FOLDING,),
        Reconnected: (_S.FOLDING,),
        Opened: (_S.COLLECTING, _S.FOLDING, _S.FINISHED),
    },
    _S.FINISHED: {FromSite: (_S.FINISHED,), Enrolled: (_S.FINISHED,)},
}
