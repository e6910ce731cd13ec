"""What a secure sum at the aggregator asks of its server, which reports SumEnded (events.py).

Who of the cohort has come how far is in sum_attempt.py.
"""

from dataclasses import dataclass, field

from fedfin.protocol.messages.secure_sums import Reveal, SumKey
from fedfin.protocol.subtraction import NO_COHORT
from fedfin.protocol.sum_groups import Groups


@dataclass(frozen=True)
class OpenSum:
    """Open this sum with what its survivors reveal, make it durable, and report SumEnded.

    `names`: the cohort, in its order; `keys`: of those that dealt; `consents`: of survivors. Where sums are opened
    apart (sum_groups.py), `grouped`: who was dealt into groups; `groups`: those of survivors. `gives`: to which blocks,
    of those that dealt, where the plan asks for sites behind each.
    """

    round: int
    attempt: bytes
    names: tuple[str, ...]
    keys: dict[str, SumKey]
    survivors: tuple[str, ...]
    consents: dict[str, bytes]
    reveals: dict[str, Reveal]
    grouped: tuple[str, ...] = ()
    groups: Groups = ()
    gives: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class NewSum:
    """A new attempt begins; what has come for the one before is forgotten. `names`: its cohort; `groups`: of it."""

    round: int
    attempt: bytes
    names: tuple[str, ...]
    groups: Groups = ()


@dataclass(frozen=True)
class FixSum:
    """Its survivors are named. What comes now is not added any more."""

    attempt: bytes


@dataclass(frozen=True)
class KeepSum:
    """Make durable what opening this sum will need: from here on sites may reveal their shares."""

    sum: OpenSum


@dataclass(frozen=True)
class GiveUpSum:
    """Too few have revealed their shares in time. Write down that it was never opened; report SumEnded."""

    sum: OpenSum


@dataclass(frozen=True)
class AwaitCohort:
    """For people: no sum of those that are ready may be made, for this reason (subtraction.py, sum_groups.py).

    After `seconds` more sites are left out, or the round closes without a sum. `missing`: whom an earlier sum holds.
    """

    round: int
    ready: tuple[str, ...]
    missing: tuple[str, ...]
    seconds: float
    reason: str = NO_COHORT


@dataclass(frozen=True)
class NoCohort:
    """For people: the round closes without a sum of those that are ready; nobody has masked anything."""

    round: int
    ready: tuple[str, ...]
    reason: str = NO_COHORT


@dataclass(frozen=True)
class BadDealing:
    """For people: this site is left out of the round's next attempts.

    `accusers`: who could not open what it has dealt; `accused`: of whom it says so. Neither: its key is of small order.
    """

    site: str
    round: int
    accusers: tuple[str, ...] = ()
    accused: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoesOn:
    """For people: so many attempts were given up, and as the run needs this sum there is a next one."""

    round: int
    attempts: int


@dataclass(frozen=True)
class TellOutcome:
    """Tell a site what the journal says of its part in this round, which is over."""

    site: str
    round: int
