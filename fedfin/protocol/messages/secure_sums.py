"""Of one secure sum, in the order in which they are told."""

from typing import Annotated

import msgspec

from fedfin import limits
from fedfin.names import Name
from fedfin.protocol.fields import Boot, Count, Id, Reason, Signature
from fedfin.protocol.messages.message import Message

AttemptId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=limits.LEAST_SUMMED, max_length=limits.COHORT)]
SealedShares = Annotated[bytes, msgspec.Meta(min_length=1, max_length=1024)]
Gives = Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.BLOCK_BYTES)]
Share = Annotated[bytes, msgspec.Meta(min_length=66, max_length=66)]


class SumMessage(Message, frozen=True):
    """The part that all messages of one secure sum share: each attempt at one has an id of its own."""

    run: Boot
    round: Count
    attempt: AttemptId


class Ready(Message, frozen=True):
    """A site holds its values for `round`, or asks again where it stands. The answer is the attempt's, or Summed.

    `lost`: the attempt that it was asked about, and in which it takes no part: it does not hold its secrets any more,
    or has no use of what others have dealt to it. `unopened`: these others.
    """

    run: Boot
    round: Count
    lost: AttemptId | None = None
    unopened: Annotated[tuple[Name, ...], msgspec.Meta(max_length=limits.COHORT)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


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
    """A site's key for this attempt, and for every other one its shares of the secrets, sealed to it.

    `gives`: where the plan asks for sites behind every block, to which this one gives; signed with the key.
    """

    key: SumKey
    shares: Annotated[dict[Name, SealedShares], msgspec.Meta(max_length=limits.COHORT)]
    gives: Gives | msgspec.UnsetType = msgspec.UNSET


class Dealt(SumMessage, frozen=True):
    """Who has dealt, with their keys; and what they have dealt to this site. It answers with its masked values.

    `gives`: what each has said with its key.
    """

    keys: Annotated[dict[Name, SumKey], msgspec.Meta(max_length=limits.COHORT)]
    shares: Annotated[dict[Name, SealedShares], msgspec.Meta(max_length=limits.COHORT)]
    gives: Annotated[dict[Name, Gives], msgspec.Meta(max_length=limits.COHORT)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


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
