"""Sites that take part in a sum, each with keys of its own, and an aggregator that asks them as it likes."""

import msgspec
import numpy as np

from fedfin.model.blocks import Blocks
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealing, Dealt, Reveal, Survivors
from fedfin.secure_sums.ledger import Kept
from fedfin.secure_sums.masks import WORD
from fedfin.secure_sums.member import Member
from fedfin.secure_sums.unmask import unmask
from fedfin.trust.identity import Ed25519PrivateKey, Identity, X25519PrivateKey

RUN, ROUND, FIRST, MODEL = "1" * 16, 2, b"a" * 16, b"m" * 32
WHERE = {"run": RUN, "round": ROUND}


class Ledger:
    """What a site has made durable, as its agent does (fedfin_edge/agent/summing.py)."""

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self.attempts: dict[int, bytes] = {}
        self.sums: list[frozenset[str]] = []  # of statistics, in other rounds
        self.grouped: tuple[str, ...] = ()

    def keep(self, kept: Kept | None) -> None:
        """In place of what was kept before."""
        self.kept = kept

    def revealed(self, round_: int) -> bytes | None:
        """The attempt of which shares may have left."""
        return self.attempts.get(round_)

    def reveal(self, round_: int, attempt: bytes, sites: tuple[str, ...], grouped: tuple[str, ...]) -> None:
        """Never forgotten."""
        self.attempts[round_] = attempt
        self.grouped = grouped or self.grouped

    def beside(self, round_: int) -> list[frozenset[str]]:
        """What a test says."""
        return self.sums


class Sites:
    """`count` of them; `ledgers`: what each has made durable. `groups`: into which all are dealt, if any.

    `blocks`: the round's, where so many sites must be behind each; `gives`: to which each gives.
    """

    def __init__(
        self,
        count: int,
        groups: int = 0,
        *,
        blocks: Blocks | None = None,
        gives: dict[str, bytes] | None = None,
    ) -> None:
        self.groups, self.blocks, self.gives = groups, blocks, gives or {}
        self.models: dict[str, bytes] = {}  # that some work from, others than MODEL
        self.names = tuple(sorted(f"s{number}" for number in range(count)))
        self.identities = {
            name: Identity(Ed25519PrivateKey.generate(), X25519PrivateKey.generate()) for name in self.names
        }
        self.roster = {name: identity.public for name, identity in self.identities.items()}
        self.ledgers = {name: Ledger() for name in self.names}
        self.members = {name: self.member(name) for name in self.names}

    def member(self, name: str) -> Member:
        """In a new life."""
        return Member(
            name,
            RUN,
            self.identities[name],
            lambda: self.roster,
            least=3,
            ledger=self.ledgers[name],
            most_groups=lambda _: self.groups,
            blocks=lambda _: self.blocks,
        )

    def deal(self, names: tuple[str, ...], attempt: bytes = FIRST) -> dict[str, Dealing]:
        """Of each of the cohort."""
        grouped = self.names if self.groups else msgspec.UNSET
        question = Cohort(**WHERE, attempt=attempt, names=names, grouped=grouped)
        return {name: self.answer(question, name) for name in names}

    def answer(self, question: Cohort, name: str) -> Dealing:
        """Of one of the cohort."""
        return self.members[name].deal(question, self.models.get(name, MODEL), self.gives.get(name, b""))

    def dealt(self, dealings: dict[str, Dealing], name: str) -> Dealt:
        """What an honest aggregator relays to a site."""
        attempt = next(iter(dealings.values())).attempt
        keys = {one: dealing.key for one, dealing in dealings.items()}
        shares = {one: dealing.shares[name] for one, dealing in dealings.items() if one != name}
        gives = {one: dealing.gives for one, dealing in dealings.items()} if self.blocks else msgspec.UNSET
        return Dealt(**WHERE, attempt=attempt, keys=keys, shares=shares, gives=gives)

    def mask(self, dealings: dict[str, Dealing], values: dict[str, np.ndarray]) -> dict[str, bytes]:
        """Each site's masked values, by name."""
        return {
            name: self.members[name].mask(self.dealt(dealings, name), array.copy())
            for name, array in values.items()
        }

    def consents(self, names: tuple[str, ...], attempt: bytes = FIRST) -> Consents:
        """All survivors' signatures."""
        question = Survivors(**WHERE, attempt=attempt, names=names)
        signatures = {name: self.members[name].consent(question).signature for name in names}
        return Consents(**WHERE, attempt=attempt, signatures=signatures)


def open_sum(
    sites: Sites,
    dealings: dict[str, Dealing],
    masked: dict[str, bytes],
    survivors: tuple[str, ...],
    reveals: dict[str, Reveal],
) -> np.ndarray:
    """As the aggregator does."""
    total = sum(np.frombuffer(masked[name][16:], WORD) for name in survivors).astype(np.uint64)
    keys = {name: dealing.key for name, dealing in dealings.items()}
    attempt = next(iter(dealings.values())).attempt
    unmask(total, (RUN, ROUND, attempt), sites.names, keys, survivors, reveals)
    return total
