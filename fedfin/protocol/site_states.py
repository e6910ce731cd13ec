"""The life of a site: its states, the events it heeds, the effects it asks for, and which leads where.

LEGAL is the whole of it: which event is heeded in which state, and where that can lead. An event that is not in
the table is a late or repeated one, which MQTT may always deliver: it is ignored.
"""

from dataclasses import dataclass
from enum import Enum

from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.protocol.messages import (
    Chunk,
    Cohort,
    Consents,
    Dealt,
    Evict,
    Life,
    Message,
    Missing,
    PartKind,
    Receipt,
    RoundManifest,
    Summed,
    Survivors,
    Welcome,
)


class State(Enum):
    """Where a site stands."""

    JOINING = "joining"  # says hello until it is welcomed
    IDLE = "idle"  # waits for a round
    FETCHING = "fetching"  # collects the parts of a global model
    ASSEMBLING = "assembling"  # has them, and makes the model of them; or the first one of the plan
    WORKING = "working"  # computes its update
    SENDING = "sending"  # delivers it, until there is a receipt
    FINISHED = "finished"  # holds the final model
    EVICTED = "evicted"  # was dropped, and knows why


# Events that are not messages.


@dataclass(frozen=True)
class Connected:
    """The link is up (again); `chunk_size` is what one packet may carry of data."""

    chunk_size: int


@dataclass(frozen=True)
class Disconnected:
    """The link is down."""


@dataclass(frozen=True)
class Published:
    """The broker has taken one chunk."""


@dataclass(frozen=True)
class Assembled:
    """The model is what it must be, and is kept on disk."""

    version: int
    model: bytes


@dataclass(frozen=True)
class Misfit:
    """What was assembled is not the model of the manifest."""

    reason: str


@dataclass(frozen=True)
class Done:
    """The update of the round is computed and saved on disk. `leaves`: of its bytes (transfer.py), if known."""

    round: int
    payload: bytes
    leaves: bytes = b""


@dataclass(frozen=True)
class Masked:
    """Secure sums: the values of the round, masked for one attempt."""

    round: int
    payload: bytes


@dataclass(frozen=True)
class Barred:
    """Secure sums: shares of a sum of this round have left, and another one is asked for."""

    round: int


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    Connected
    | Disconnected
    | Published
    | Assembled
    | Misfit
    | Done
    | Tick
    | Welcome
    | Missing
    | Receipt
    | Evict
    | RoundManifest
    | Chunk
    | Cohort
    | Dealt
    | Survivors
    | Consents
    | Masked
    | Barred
    | Summed
)
SumQuestion = Cohort | Dealt | Survivors | Consents


# Effects.


@dataclass(frozen=True)
class Send:
    """Publish on one of the site's own up channels."""

    channel: str
    message: Message


@dataclass(frozen=True)
class Follow:
    """Subscribe to a retained chunk of a part of the model."""

    kind: PartKind
    version: int
    index: int


@dataclass(frozen=True)
class Unfollow:
    """Unsubscribe again."""

    kind: PartKind
    version: int
    index: int


@dataclass(frozen=True)
class Join:
    """Check that this site can follow the plan; it is the first thing an aggregator says."""

    run: str
    plan: Plan


@dataclass(frozen=True)
class MakeFirst:
    """Make version 0 from the plan, which says all of it; keep it, and report Assembled.

    So a site that joins has something to build on, and the first model never travels.
    """


@dataclass(frozen=True)
class Assemble:
    """Apply the deltas to the snapshot (None: to the kept model); keep what comes out when `model` is its id.

    Report Assembled or Misfit. Each part is whole and equal to its own digest. `checked`: the snapshot alone is the
    model, and its digest is the model's.
    """

    version: int
    model: bytes
    snapshot: bytes | None
    deltas: tuple[bytes, ...]
    checked: bool = False


@dataclass(frozen=True)
class Work:
    """Compute the update of this round from the kept model, save it, and report Done."""

    round: int
    task: Task
    version: int


@dataclass(frozen=True)
class SayReady:
    """Secure sums: tell the aggregator that the values are here."""

    round: int


@dataclass(frozen=True)
class TakePart:
    """Secure sums: answer the aggregator's question; to Dealt, report Masked."""

    message: SumQuestion


@dataclass(frozen=True)
class Abandon:
    """Stop working on this round: it has closed. `anew`: it is asked again, so that nothing of it is lost."""

    round: int
    anew: bool = False


@dataclass(frozen=True)
class Settle:
    """The update has its receipt: forget the copy on disk, keep what the receipt says."""

    round: int
    accepted: bool
    reason: str


@dataclass(frozen=True)
class BeginLife:
    """The aggregator was set back, to `round`; a new life begins. Rounds up to `barred` are not answered again."""

    life: Life
    round: int
    barred: int


@dataclass(frozen=True)
class Bar:
    """This round is not answered again: forget the copy on disk, and remember that."""

    round: int


@dataclass(frozen=True)
class Finish:
    """The federation is over; the final model is kept."""

    version: int


@dataclass(frozen=True)
class Distrust:
    """A manifest that no aggregator of this plan can have made is ignored. Told for the first such only."""

    reason: str


@dataclass(frozen=True)
class Leave:
    """The aggregator dropped this site."""

    reason: str


Effect = (
    Send
    | Follow
    | Unfollow
    | Join
    | MakeFirst
    | Assemble
    | Work
    | SayReady
    | TakePart
    | Abandon
    | Settle
    | BeginLife
    | Bar
    | Finish
    | Distrust
    | Leave
)

_S = State
_AFTER_MANIFEST = (_S.IDLE, _S.FETCHING, _S.WORKING, _S.FINISHED, _S.EVICTED)
LEGAL: dict[State, dict[type, tuple[State, ...]]] = {
    _S.JOINING: {
        Connected: (_S.JOINING,),
        Disconnected: (_S.JOINING,),
        Tick: (_S.JOINING,),
        # No manifest: what one may say is known from the plan, and with the plan comes the manifest, too.
        Welcome: (_S.IDLE, _S.ASSEMBLING, _S.SENDING, _S.EVICTED),
        Evict: (_S.EVICTED,),
    },
    _S.IDLE: {
        Welcome: (_S.IDLE, _S.EVICTED),
        Connected: (_S.IDLE,),
        Disconnected: (_S.IDLE,),
        Tick: (_S.IDLE,),
        RoundManifest: _AFTER_MANIFEST,
        Evict: (_S.EVICTED,),
    },
    _S.FETCHING: {
        Welcome: (_S.FETCHING, _S.EVICTED),
        Connected: (_S.FETCHING,),
        Disconnected: (_S.FETCHING,),
        Tick: (_S.FETCHING,),
        Chunk: (_S.FETCHING, _S.ASSEMBLING, _S.EVICTED),
        RoundManifest: _AFTER_MANIFEST,
        Evict: (_S.EVICTED,),
    },
    _S.ASSEMBLING: {
        Welcome: (_S.ASSEMBLING, _S.EVICTED),
        Connected: (_S.ASSEMBLING,),
        Disconnected: (_S.ASSEMBLING,),
        RoundManifest: (_S.ASSEMBLING,),
        Assembled: _AFTER_MANIFEST,
        Misfit: (_S.FETCHING, _S.EVICTED),
        Evict: (_S.EVICTED,),
    },
    _S.WORKING: {
        Welcome: (_S.WORKING, _S.EVICTED),
        Connected: (_S.WORKING,),
        Disconnected: (_S.WORKING,),
        Done: (_S.WORKING, _S.SENDING),
        Barred: _AFTER_MANIFEST,
        RoundManifest: _AFTER_MANIFEST,
        Evict: (_S.EVICTED,),
    },
    _S.SENDING: {
        Welcome: (_S.SENDING, _S.EVICTED),
        Connected: (_S.SENDING,),
        Disconnected: (_S.SENDING,),
        Tick: (_S.SENDING,),
        Published: (_S.SENDING,),
        Missing: (_S.SENDING,),
        Receipt: (_S.SENDING, *_AFTER_MANIFEST),
        Cohort: (_S.SENDING,),
        Dealt: (_S.SENDING,),
        Survivors: (_S.SENDING,),
        Consents: (_S.SENDING,),
        Masked: (_S.SENDING,),
        Barred: (_S.SENDING, *_AFTER_MANIFEST),
        Summed: (_S.SENDING, *_AFTER_MANIFEST),
        RoundManifest: (_S.SENDING, *_AFTER_MANIFEST),  # of a new life
        Evict: (_S.EVICTED,),
    },
    _S.FINISHED: {},
    _S.EVICTED: {},
}
