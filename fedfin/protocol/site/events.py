"""What a site's machine hears of: messages, and what its shell reports."""

from dataclasses import dataclass

from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealt, Summed, Survivors
from fedfin.protocol.messages.transfers import Chunk, Missing, Receipt


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
    """The update of the round is computed; what asks for it waits until it is saved on disk.

    `leaves`: of its bytes (transfer.py), if known.
    """

    round: int
    payload: bytes
    leaves: bytes = b""


@dataclass(frozen=True)
class Masked:
    """Secure sums: the values of the round, masked for one attempt.

    `consent`: signed that all who have dealt are in the sum; empty: not ahead.
    """

    round: int
    payload: bytes
    consent: bytes = b""


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
