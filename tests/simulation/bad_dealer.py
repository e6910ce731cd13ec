"""One site whose part in secure sums is of no use to others, or that says so of theirs."""

import random
from collections.abc import Sequence

from msgspec.structs import replace

from fedfin.protocol.cohorts import key_statement
from fedfin.protocol.messages.secure_sums import Dealing, Dealt, Ready, SumKey
from fedfin.secure_sums.member import Member

SMALL_ORDER = bytes(32)  # a key that nobody can agree on a mask with
HABITS = ("shares for all", "shares for some", "shares for one", "key", "accuses")


class BadDealer:
    """`habit`: what it does; `first`: from which round on; `chance`: how often; `most`: and how often at most."""

    def __init__(
        self,
        rng: random.Random,
        site: str,
        habit: str,
        *,
        first: int = 1,
        chance: float = 1.0,
        most: int = 10**6,
    ) -> None:
        self._rng, self.site, self.habit = rng, site, habit
        self._first, self._chance, self._left = first, chance, most

    @classmethod
    def draw(cls, rng: random.Random, names: Sequence[str]) -> "BadDealer":
        """Of any kind."""
        return cls(rng, rng.choice(names), rng.choice(HABITS), chance=rng.choice([0.3, 1.0]))

    def _strikes(self, round_: int, *habits: str) -> bool:
        strikes = (
            self.habit in habits
            and round_ >= self._first
            and self._left > 0
            and self._rng.random() < self._chance
        )
        self._left -= strikes
        return strikes

    def dealing(self, member: Member, dealing: Dealing) -> Dealing:
        """What it deals."""
        if self._strikes(dealing.round, "key"):
            return self._with_weak_key(member, dealing)
        if not self._strikes(dealing.round, "shares for all", "shares for some", "shares for one"):
            return dealing
        chance = 1.0 if self.habit == "shares for all" else 0.5
        victims = [name for name in sorted(dealing.shares) if self._rng.random() < chance]
        if self.habit == "shares for one":
            victims = [self._rng.choice(sorted(dealing.shares))]
        bad = {name: self._rng.randbytes(len(dealing.shares[name])) for name in victims}
        return replace(dealing, shares=dealing.shares | bad)

    def _with_weak_key(self, member: Member, dealing: Dealing) -> Dealing:
        assert member._attempt is not None
        where, commitment = (dealing.run, dealing.round, dealing.attempt), dealing.key.commitment
        statement = key_statement(
            *where, member._attempt.model, SMALL_ORDER, commitment, dealing.gives or b""
        )
        signature = member._identity.signing.sign(statement)
        return replace(dealing, key=SumKey(SMALL_ORDER, commitment, signature))

    def accusation(self, question: object) -> Ready | None:
        """What it says in place of its values, of all others."""
        if not isinstance(question, Dealt) or not self._strikes(question.round, "accuses"):
            return None
        others = tuple(sorted(question.keys.keys() - {self.site}))
        return Ready(run=question.run, round=question.round, lost=question.attempt, unopened=others)
