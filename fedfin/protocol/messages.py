"""The control messages, closed and typed; bytes from the network become one of them or a ProtocolError.

On the wire each is a msgpack map with `v` (protocol version), `kind` and the fields below. Unknown kinds,
unknown fields, wrong types, oversize and trailing bytes are refused. Essential data is in the payload,
never in MQTT properties, so that any broker will do.

    up/ctl           Hello, Begin, Want, Decline; Ready, Dealing, Consent, Reveal
    up/chunk         Chunk
    dn/ctl           Welcome, Missing, Receipt, Evict, RoundManifest, GroupKeys, Twin; Cohort, Dealt, Survivors,
                     Consents, Summed
    dn/chunk         Chunk
    shard up/ctl     Tally, Begin
    shard up/chunk   Chunk
    shard dn/ctl     Welcome, Enough, Heard, Rewind, Missing, Receipt, Evict, RoundManifest
    up/state         SiteState (retained, last will)
    agg/state        AggregatorState (retained, last will)
    agg/charter      the charter (retained), signed text (fedfin/trust/charter.py)
    global/manifest  RoundManifest (retained)
    global/s/V/I     Chunk (retained) of a snapshot
    global/d/V/I     Chunk (retained) of a delta
"""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET

from fedfin import limits
from fedfin.declines import Cause
from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task
from fedfin.model.plan_size import check_size
from fedfin.names import Digest, Name
from fedfin.plan import Plan
from fedfin.protocol.invitation import EVERYONE
from fedfin.protocol.padding import most_sealed_bytes
from fedfin.protocol.versions import Announced

Id = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Size = Annotated[int, msgspec.Meta(ge=1, le=limits.TRANSFER_BYTES)]
ChunkSize = Annotated[int, msgspec.Meta(ge=1024, le=limits.CHUNK_BYTES)]
ChunkDigests = Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=limits.CHUNKS)]
Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.CHUNKS // 8)]
Reason = Annotated[str, msgspec.Meta(max_length=limits.REASON_CHARS)]
Boot = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Draw = Annotated[int, msgspec.Meta(ge=0)]  # of 64 bits, which is all that msgpack has
AttemptId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=limits.LEAST_SUMMED, max_length=limits.COHORT)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
SealedShares = Annotated[bytes, msgspec.Meta(min_length=1, max_length=1024)]
Share = Annotated[bytes, msgspec.Meta(min_length=66, max_length=66)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, lt=2.0**40)]
Run = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?\Z")]  # empty: none yet
VERSION: Literal[1] = 1


class Life(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One course of a run's rounds. The first has no name.

    An aggregator whose folder was restored from a backup is behind its sites. It begins the next life, whose rounds its
    sites answer anew. `name`: drawn, so that two aggregators that both begin one do not mean the same.
    """

    number: Count = 0
    name: Run = ""


FIRST_LIFE = Life()


class Message(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag=lambda name: name.lower(),
):
    """The part that all messages share. `private`: with keys, sealed to its one receiver (fedfin/trust/channel.py)."""

    private: ClassVar[bool] = True
    v: Literal[1] = VERSION


class Hello(Message, frozen=True):
    """A site asks to take part. `encoders`: the bundle digest it holds for each modality.

    And where it stands, so that an aggregator that was set back finds out: in which life of which run, the newest round
    that it has `seen` there, and the newest for which an update of it was `accepted`; 0: none. `party`: versions.py.
    """

    boot: Boot
    encoders: Annotated[dict[Name, Digest], msgspec.Meta(max_length=limits.MODALITIES)]
    run: Run = ""
    life: Life = FIRST_LIFE
    seen: Count = 0
    accepted: Count = 0
    party: Announced = UNSET


class Welcome(Message, frozen=True):
    """The aggregator's answer to Hello: the plan that both will follow, and which run of it this is.

    `party`: in answer to a hello that has one, as an older site would not read it.
    """

    run: Boot
    plan: Plan
    party: Announced = UNSET

    def __post_init__(self) -> None:
        """Refuse a plan that is too large before a site makes anything of it."""
        check_size(self.plan)


class Evict(Message, frozen=True):
    """The aggregator drops a site, and says why."""

    reason: Reason


class Twin(Message, frozen=True):
    """Two machines run with this site's identity: one, which says `boot`, since `here`, and another since `there`."""

    boot: Boot
    here: Seconds
    there: Seconds


class Decline(Message, frozen=True):
    """A site that was welcomed takes no part in this run, or no further: nobody need wait for it."""

    run: Boot
    cause: Cause


class GroupKeys(Message, frozen=True):
    """The keys of the run's models, from epoch `first` on (fedfin/trust/charter.py). Sealed, before each Welcome."""

    first: Count
    keys: Annotated[tuple[Id, ...], msgspec.Meta(max_length=limits.GROUP_KEYS)]


class Outline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one byte string travels: its `id`, size and chunks, each with its own digest (transfer.py)."""

    id: Id
    size: Size
    chunk_size: ChunkSize
    chunks: ChunkDigests

    def __post_init__(self) -> None:
        if len(self.chunks) != -(-self.size // self.chunk_size):
            raise ValueError("the number of chunk digests does not fit size and chunk_size")


PartKind = Literal["snapshot", "delta"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One payload on the way to a model: the snapshot of a version, or the delta to it from the version before."""

    version: Count
    outline: Outline


class Begin(Message, frozen=True):
    """A site offers an update for `round`, or asks again where it stands: the answer is Missing or a Receipt."""

    private: ClassVar[bool] = False
    run: Boot
    round: Count
    outline: Outline


class Missing(Message, frozen=True):
    """Which chunks of an update the aggregator still lacks: bit i of byte i // 8, lowest bit first."""

    private: ClassVar[bool] = False
    id: Id
    bitmap: Bitmap


class Receipt(Message, frozen=True):
    """The durable answer to an update. Repeats get the same one again."""

    id: Id
    accepted: bool
    reason: Reason = ""


class Want(Message, frozen=True):
    """A site asks for chunks of a global model's part that the broker did not deliver."""

    private: ClassVar[bool] = False
    part: PartKind
    version: Count
    bitmap: Bitmap


class Chunk(Message, frozen=True):
    """A piece of a transfer: the bytes of chunk `index`, and maybe of the chunks that follow it."""

    id: Id
    index: Annotated[int, msgspec.Meta(ge=0, lt=limits.CHUNKS)]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.CHUNK_BYTES)]


class SiteState(Message, frozen=True):
    """Retained: whether a site is there. The broker publishes `online` false when it loses the site.

    `done`: it does not come back; a site holds the final model, a shard has delivered its last sum.
    """

    online: bool
    boot: Boot
    done: bool = False


class AggregatorState(Message, frozen=True):
    """Retained: whether the aggregator is there; also what one says that asks who else is, which is not retained.

    `host`: where it runs; `since`: when it was started, `at`: when it said this, seconds since the epoch; `stopped`: it
    ended by itself; `asks`: whoever serves says this anew; `takes_over`: from whoever served before.
    """

    online: bool
    boot: Boot
    host: Annotated[str, msgspec.Meta(max_length=255)] = ""
    since: Seconds = 0.0
    at: Seconds = 0.0
    stopped: bool = False
    asks: bool = False
    takes_over: bool = False


class RoundManifest(Message, frozen=True):
    """Retained: the round that runs, and the model version it starts from. Also an answer to a site that missed it.

    A plan can be run again: `run` tells a broker's leftovers of an earlier run from this one's messages. `model` is
    the id (transfer.py) of that version's GlobalModel payload, by whatever parts (chain.py) a site comes to it.
    `threshold`: which sites the round asks (fedfin/protocol/invitation.py). A site follows the `life` with
    the highest number.
    """

    private: ClassVar[bool] = False
    run: Boot
    round: Count
    task: Task
    state: Literal["open", "finished"]
    version: Count
    model: Id
    snapshot: Part
    deltas: Annotated[tuple[Part, ...], msgspec.Meta(max_length=limits.LISTED_DELTAS)]
    threshold: Draw = EVERYONE
    life: Life = FIRST_LIFE

    def __post_init__(self) -> None:
        newest = [part.version for part in self.deltas]
        if newest != list(range(self.version - len(newest) + 1, self.version + 1)):
            raise ValueError("the deltas do not lead to the version one by one")
        if not self.version - len(newest) <= self.snapshot.version <= self.version:
            raise ValueError("no deltas lead from the snapshot to the version")
        most = most_sealed_bytes(self.snapshot.outline.size) + len(self.deltas) * most_sealed_bytes(0)
        if sum(part.outline.size for part in self.deltas) > most:
            raise ValueError("the deltas are larger than the snapshot")


class Tally(Message, frozen=True):
    """A shard says where it stands: which of its sites have an answer in this round.

    `late`: sites with an update for an earlier round that counts in this one. `closed`: no more will come, the sum
    is made. `behind`: in this life a site has a receipt of ours that we know nothing of: our folder was restored from
    a backup. `seen`: the newest round of this life that it has opened, `settled`: whose sum the root has taken, so that
    a root that was restored from a backup finds out. The root answers with whatever the shard has missed.
    """

    plan: Digest
    shards: Annotated[int, msgspec.Meta(ge=1, le=limits.SHARDS)]
    run: Boot
    round: Count
    accepted: tuple[Name, ...]
    refused: tuple[Name, ...]
    late: tuple[Name, ...]
    closed: bool
    life: Life = FIRST_LIFE
    behind: bool = False
    seen: Count = 0
    settled: Count = 0


class Heard(Message, frozen=True):
    """The root's answer to a Tally from which nothing else follows: it is there."""


class Enough(Message, frozen=True):
    """The root tells its shards to close the round: their sums are asked for.

    `promised`: whose updates the shard has said that it counts.
    """

    run: Boot
    round: Count
    life: Life = FIRST_LIFE
    promised: tuple[Name, ...] = ()


class Rewind(Message, frozen=True):
    """The root tells a shard to go on in another life, from the round of this manifest: what came later is dropped.

    `keep`: not what it holds of this round, unless it has closed it.
    """

    manifest: RoundManifest
    keep: bool


class SumMessage(Message, frozen=True):
    """The part that all messages of one secure sum share: each attempt at one has an id of its own."""

    run: Boot
    round: Count
    attempt: AttemptId


class Ready(Message, frozen=True):
    """A site holds its values for `round`, or asks again where it stands. The answer is the attempt's, or Summed.

    `lost`: the attempt that it was asked about, and whose secrets it does not hold any more.
    """

    run: Boot
    round: Count
    lost: AttemptId | None = None


class Cohort(SumMessage, frozen=True):
    """The aggregator asks these sites, sorted by name, for one sum: each deals.

    `grouped`: for a sum in groups the sites that were dealt into them for this run, sorted (sum_groups.py).
    """

    names: Names
    grouped: Names | msgspec.UnsetType = msgspec.UNSET


class SumKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """For one attempt a site's public key (X25519), the SHA-256 of its own mask's seed, its signature (cohorts.py)."""

    key: Id
    commitment: Id
    signature: Signature


class Dealing(SumMessage, frozen=True):
    """A site's key for this attempt, and for every other one its shares of the secrets, sealed to it."""

    key: SumKey
    shares: Annotated[dict[Name, SealedShares], msgspec.Meta(max_length=limits.COHORT)]


class Dealt(SumMessage, frozen=True):
    """Who has dealt, with their keys; and what they have dealt to this site. It answers with its masked values."""

    keys: Annotated[dict[Name, SumKey], msgspec.Meta(max_length=limits.COHORT)]
    shares: Annotated[dict[Name, SealedShares], msgspec.Meta(max_length=limits.COHORT)]


class Survivors(SumMessage, frozen=True):
    """Whose masked values have come: the sum will be theirs."""

    names: Names


class Consent(SumMessage, frozen=True):
    """A survivor signs the list (cohorts.py)."""

    signature: Signature


class Consents(SumMessage, frozen=True):
    """Enough of them have signed the same list: whoever sees that reveals its shares."""

    signatures: Annotated[dict[Name, Signature], msgspec.Meta(max_length=limits.COHORT)]


class Reveal(SumMessage, frozen=True):
    """Shares of the survivors' own masks, and of the keys of those that dealt and did not survive."""

    seeds: Annotated[dict[Name, Share], msgspec.Meta(max_length=limits.COHORT)]
    keys: Annotated[dict[Name, Share], msgspec.Meta(max_length=limits.COHORT)]


class Summed(Message, frozen=True):
    """The durable answer to a site's values for a round: they are in the sum, or why not."""

    run: Boot
    round: Count
    accepted: bool
    reason: Reason = ""


UpControl = Hello | Begin | Want | Decline | Ready | Dealing | Consent | Reveal
DownControl = (
    Welcome
    | Missing
    | Receipt
    | Evict
    | RoundManifest
    | GroupKeys
    | Twin
    | Cohort
    | Dealt
    | Survivors
    | Consents
    | Summed
)
ShardUpControl = Tally | Begin
ShardDownControl = Welcome | Missing | Receipt | Evict | RoundManifest | Enough | Heard | Rewind
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """The message's bytes."""
    return _encoder.encode(message)


def decode(data: bytes, kind: Any, *, limit: int = limits.CONTROL_BYTES) -> Any:
    """Bytes into one of the messages of `kind` (a class or a union of classes).

    Raises ProtocolError: oversize, malformed, trailing bytes, unknown kind or field, wrong type or range.
    """
    if len(data) > limit:
        raise ProtocolError(f"a message of {len(data)} bytes exceeds the limit of {limit}")
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNDECODABLE as error:
        raise ProtocolError(f"not a message of the protocol: {plain(error)}") from None


def plain(error: BaseException) -> str:
    """An error's text fit for a log: it may quote what came from the network, so it is escaped and cut."""
    return ascii(str(error))[1:-1][:200]
