"""One attempt at a secure sum, as the aggregator sees it: who has come how far. Pure bookkeeping, no I/O.

DEALING      each of the cohort deals its key and shares
MASKING      each that dealt sends its masked values
CONSENTING   each whose values came signs who is in the sum; where all came, they have signed it ahead
REVEALING    each of these reveals its shares: from here on there is no other sum of this round
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum

import msgspec

from fedfin.model.blocks import Blocks, Judgement
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.secure_sums import (
    Cohort,
    Consent,
    Consents,
    Dealing,
    Dealt,
    Reveal,
    SumKey,
    Survivors,
)
from fedfin.protocol.rounds.accusations import Accusations
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.protocol.subtraction import exposes
from fedfin.protocol.sum_groups import deal, members, whole


class Phase(Enum):
    """What the attempt waits for."""

    DEALING = "dealing"
    MASKING = "masking"
    CONSENTING = "consenting"
    REVEALING = "revealing"


class Attempt:
    """`names`: the cohort, sorted; `least`: sites without which there is no sum.

    `earlier`: the sites of sums beside which this one must not show what one or two sites gave (subtraction.py).
    `grouped`: sites that were dealt into `most_groups` groups, of which the cohort is some, whole (sum_groups.py).
    `blocks`: the task's, where the plan asks for sites behind each.
    """

    def __init__(
        self,
        run: str,
        round_: int,
        attempt: bytes,
        names: tuple[str, ...],
        least: int,
        earlier: Sequence[AbstractSet[str]] = (),
        *,
        grouped: tuple[str, ...] = (),
        most_groups: int = 0,
        blocks: Blocks | None = None,
    ) -> None:
        self._blocks = blocks
        self._judgement: Judgement | None = None  # once sites have dealt
        self.id, self.round, self.names = attempt, round_, names
        self._run = run
        self.phase = Phase.DEALING
        self.needed = threshold(len(names))
        self._least, self._earlier = max(self.needed, least), earlier
        self.grouped, self.groups = grouped, whole(deal(grouped, most_groups), names)
        self.lost: set[str] = set()  # take no part any more
        self.accusations = Accusations(names)
        self.dealings: dict[str, Dealing] = {}
        self.keys: dict[str, SumKey] = {}
        self.gives: dict[str, bytes] = {}
        self.masked: set[str] = set()
        self.ahead: dict[str, bytes] = {}  # consents to a sum of all who have dealt
        self.survivors: tuple[str, ...] = ()
        self.consents: dict[str, bytes] = {}
        self.reveals: dict[str, Reveal] = {}
        self.warned = False  # whether people know that shares are missing

    @classmethod
    def again(cls, run: str, kept: OpenSum, least: int) -> "Attempt":
        """One that an earlier life of the aggregator may have asked sites to reveal."""
        attempt = cls(run, kept.round, kept.attempt, kept.names, least, grouped=kept.grouped)
        attempt.phase, attempt.keys = Phase.REVEALING, kept.keys
        attempt.survivors, attempt.consents, attempt.groups = kept.survivors, kept.consents, kept.groups
        attempt.gives = kept.gives
        return attempt

    @property
    def asked(self) -> tuple[str, ...]:
        """Whose answers this phase waits for."""
        if self.phase is Phase.DEALING:
            return self.names
        return tuple(self.keys) if self.phase is Phase.MASKING else self.survivors

    @property
    def answered(self) -> Iterable[str]:
        """Those that have given them."""
        if self.phase is Phase.DEALING:
            return self.dealings.keys()
        if self.phase is Phase.MASKING:
            return self.masked
        return self.consents.keys() if self.phase is Phase.CONSENTING else self.reveals.keys()

    @property
    def gone(self) -> list[str]:
        """Those that have not, and are to blame for it."""
        excused = self.accusations.excused
        return [name for name in self.asked if name not in self.answered and name not in excused]

    @property
    def spent(self) -> list[str]:
        """Those whose answers are no use for another attempt."""
        gone, asked = set(self.gone), set(self.asked)
        return [name for name in self.names if name in gone or name not in asked]

    @property
    def owing(self) -> list[str]:
        """Those that still can, and have not."""
        return [name for name in self.asked if name not in self.answered and name not in self.lost]

    @property
    def enough(self) -> bool:
        """Whether the next phase can begin."""
        if self.phase in (Phase.CONSENTING, Phase.REVEALING):
            return len(list(self.answered)) >= self.needed
        standing = self._standing(self.answered)
        if len(standing) < self._least or exposes(standing, self._earlier, alike=self._blocks is not None):
            return False
        if self._blocks is None or self._judgement is None:
            return True
        return self._blocks.hold({name: self.gives[name] for name in standing}, self._judgement)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for: signatures and shares are enough when they are enough."""
        quick = self.phase in (Phase.CONSENTING, Phase.REVEALING)
        return not self.owing or (quick and self.enough)

    @property
    def dealt(self) -> tuple[str, ...]:
        """Who has, of those that can be in the sum; sorted."""
        return tuple(self.keys)

    def _standing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of them that can be in the sum: where it is in groups, those whose group is whole."""
        return members(whole(self.groups, set(names))) if self.groups else tuple(sorted(names))

    def advance(self) -> None:
        """The next phase, with those that have answered in this one."""
        if self.phase is Phase.DEALING:
            self.keys = {name: self.dealings[name].key for name in self._standing(self.dealings)}
            if self._blocks is not None:
                self.gives = {name: self.dealings[name].gives or b"" for name in self.keys}
                self._judgement = self._blocks.judge(self.gives)
            self.phase = Phase.MASKING
        elif self.phase is Phase.MASKING:
            self.survivors, self.phase = self._standing(self.masked), Phase.CONSENTING
            self.groups = whole(self.groups, self.survivors)
            if self.survivors == self.dealt:
                self.consents = dict(self.ahead)
                self.lost -= self.consents.keys()  # a site reveals by what it keeps of what it signed
        else:
            self.phase = Phase.REVEALING

    def question(self, site: str) -> Message | None:
        """What this phase asks of a site; None: nothing."""
        if site not in self.asked or site in self.lost:
            return None
        run, round_, attempt = self._run, self.round, self.id
        if self.phase is Phase.DEALING:
            grouped = self.grouped or msgspec.UNSET
            return Cohort(run=run, round=round_, attempt=attempt, names=self.names, grouped=grouped)
        if self.phase is Phase.MASKING:
            shares = {name: self.dealings[name].shares[site] for name in self.keys if name != site}
            gives = self.gives or msgspec.UNSET
            return Dealt(run=run, round=round_, attempt=attempt, keys=self.keys, shares=shares, gives=gives)
        late = site not in self.consents  # the others did not wait for it
        if self.phase is Phase.CONSENTING or late:
            return Survivors(run=run, round=round_, attempt=attempt, names=self.survivors)
        return Consents(run=run, round=round_, attempt=attempt, signatures=self.consents)

    def add_dealing(self, site: str, message: Dealing) -> None:
        """A site's key and shares, in place of what an earlier life of it dealt.

        Those that are not for exactly the others of the cohort do not count.
        """
        wanted, size = set(self.names) - {site}, len(message.gives or b"")
        if size != (self._blocks.byte_count if self._blocks is not None else 0):
            return
        if self.phase is Phase.DEALING and site in self.names and message.shares.keys() == wanted:
            self.dealings[site] = message

    def refuse(self, site: str) -> None:
        """What it deals is of no use to anybody: it is not waited for."""
        if self.phase is Phase.DEALING:
            self.dealings.pop(site, None)
            self.lost.add(site)

    def lose(self, site: str, unopened: Iterable[str]) -> None:
        """It takes no part any more, as it has no use of what these have dealt; none: it has lost its secrets."""
        self.lost.add(site)
        if self.phase is Phase.MASKING and site in self.keys and site not in self.masked:
            self.accusations.add(site, unopened)

    def add_consent(self, site: str, message: Consent) -> None:
        """A survivor's signature, which was checked."""
        if site in self.survivors:
            self.consents[site] = message.signature

    def add_reveal(self, site: str, message: Reveal) -> None:
        """A survivor's shares; others than those that it was asked for do not count."""
        lost = self.keys.keys() - set(self.survivors)
        complete = message.seeds.keys() == set(self.survivors) and message.keys.keys() == lost
        if self.phase is Phase.REVEALING and site in self.survivors and complete:
            self.reveals[site] = message

    @property
    def sum(self) -> OpenSum:
        """What opening it takes."""
        return OpenSum(
            self.round,
            self.id,
            self.names,
            self.keys,
            self.survivors,
            self.consents,
            dict(self.reveals),
            self.grouped,
            self.groups,
            self.gives,
        )
