"""A site asks to take part, is welcomed or dropped; or takes no part, or no further."""

from typing import Annotated

import msgspec
from msgspec import UNSET

from fedfin import limits
from fedfin.declines import Cause
from fedfin.model.plan_size import check_size
from fedfin.names import Digest, Name
from fedfin.plan import Plan
from fedfin.protocol.fields import Boot, Count, Id, Reason, Run
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.message import Message
from fedfin.protocol.versions import Announced


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


class GroupKeys(Message, frozen=True):
    """The keys of the run's models, from epoch `first` on (fedfin/trust/charter.py). Sealed, before each Welcome."""

    first: Count
    keys: Annotated[tuple[Id, ...], msgspec.Meta(max_length=limits.GROUP_KEYS)]


class Evict(Message, frozen=True):
    """The aggregator drops a site, and says why."""

    reason: Reason


class Decline(Message, frozen=True):
    """A site that was welcomed takes no part in this run, or no further: nobody need wait for it."""

    run: Boot
    cause: Cause
