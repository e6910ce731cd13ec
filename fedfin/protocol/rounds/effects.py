"""What a round machine asks of its server: `receive` returns them in the order in which they must be done."""

from dataclasses import dataclass

from fedfin.declines import Cause
from fedfin.protocol.life import Life
from fedfin.protocol.messages.manifest import PartKind, RoundManifest
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.presence import SiteState
from fedfin.protocol.messages.transfers import Outline
from fedfin.protocol.rounds.events import Payload
from fedfin.protocol.rounds.sum_effects import (
    AwaitCohort,
    BadDealing,
    FixSum,
    GiveUpSum,
    GoesOn,
    KeepSum,
    NewSum,
    NoCohort,
    OpenSum,
    TellOutcome,
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
    """For people: the round is open, and these sites have not answered; after `seconds` it can close without them.

    `away`: those that let a deadline pass, or are offline; nobody waits for them.
    """

    round: int
    accepted: int
    quorum: int
    sites: tuple[str, ...]
    seconds: float
    away: tuple[str, ...] = ()


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
    | BadDealing
    | GoesOn
    | TellOutcome
    | Stalled
    | Awaiting
    | Lacking
    | Rewinding
    | Unheard
)
Receiving = Send | Spool | Judge  # what taking updates in asks for
