"""What a site's machine asks of its shell: `receive` returns them in the order in which they must be done."""

from dataclasses import dataclass

from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.protocol.life import Life
from fedfin.protocol.messages.manifest import PartKind
from fedfin.protocol.messages.message import Message
from fedfin.protocol.site.events import SumQuestion


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
    """Stop working on this round: it has closed, or is asked anew."""

    round: int


@dataclass(frozen=True)
class Settle:
    """The update has its receipt: forget the copy on disk, keep what the receipt says.

    `begun`: the newest round of which it tells that it has begun, as the one before is over; 0: it tells of none.
    """

    round: int
    accepted: bool
    reason: str
    begun: int = 0


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
