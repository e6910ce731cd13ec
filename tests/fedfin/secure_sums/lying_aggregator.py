"""An aggregator that lies at random to real sites, some of them on its side, and what it can open in the end.

It chooses whom it asks what, in which order and under which round's number, shows sites different keys and lists,
starts them anew with what they have made durable, and keeps all that it sees. Sites on its side give it their keys:
they sign what it likes, and open what is sealed to them.
"""

import contextlib
import copy
import hashlib
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
from cohort_sites import FIRST, MODEL, ROUND, RUN, Ledger, Sites

from fedfin.errors import ProtocolError
from fedfin.limits import LEAST_SUMMED
from fedfin.protocol.cohorts import shares_context, survivors_statement, threshold
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealing, Dealt, SumKey, Survivors
from fedfin.secure_sums import shamir
from fedfin.trust.identity import X25519PrivateKey
from fedfin.trust.sealing import open_sealed

ROUNDS = (ROUND, ROUND + 1)
WHERES = [(RUN, round_, attempt) for attempt in (FIRST, b"b" * 16) for round_ in ROUNDS]
RARITIES = (12, 6, 6, 3, 3)  # of the kinds of moves: whom a new attempt is asked of, forgets the one before
OTHER_MODEL = b"o" * 32
LEAVES_OUT = 0.8  # how often it shows others no key of who works from another model
HABIT = 0.9  # how often it does what it does at this stage
Names = tuple[str, ...]
T = TypeVar("T")
Shares = dict[int, bytes]  # by their holders' places


class _Sum(NamedTuple):
    """What sites sign: who has dealt with which keys, who of them is in the sum."""

    where: tuple[str, int, bytes]
    keys: Mapping[str, SumKey]
    names: Names

    @property
    def statement(self) -> bytes:
        """In bytes."""
        return survivors_statement(*self.where, self.keys, self.names)


class LyingAggregator:
    """Of so many sites the first `liars` are on its side. `ledger`: what honest ones make durable.

    `set_back`: one of these starts anew with a copy of its folder, each time. `victim`: the last of them works from
    another model than the others.
    """

    def __init__(
        self,
        sites: int,
        liars: int,
        seed: int,
        *,
        ledger: type[Ledger] = Ledger,
        set_back: bool = False,
        victim: bool = False,
    ) -> None:
        self._random = random.Random(seed)
        self._sites, self._needed = Sites(sites), threshold(sites)
        self._sites.ledgers = {name: ledger() for name in self._sites.names}
        self._liars, self._honest = self._sites.names[:liars], self._sites.names[liars:]
        self._sites.models = {self._honest[-1]: OTHER_MODEL} if victim else {}
        self._models = (MODEL, OTHER_MODEL) if victim else (MODEL,)
        self._copies = {self._honest[0]: ledger()} if set_back else {}
        for name in self._honest:
            self._restart(name)
        lost = [self._random.sample(self._honest, k=min(each, sites - self._needed)) for each in (1, 1, 2)]
        self._lists = [tuple(name for name in self._sites.names if name not in gone) for gone in ([], *lost)]
        self._dealings: dict[tuple[str, int, bytes], dict[str, list[Dealing]]] = {
            where: {name: [self._new_dealing(name, where, m) for m in self._models] for name in self._liars}
            for where in WHERES
        }
        self._list = self._lists[0]  # a habit, as are the rounds under whose numbers it asks
        self._asks_under, self._reveals_under = self._random.choices(ROUNDS, k=2)
        self._shown: dict[str, Dealt] = {}  # for which it has masked values
        self._signed: dict[bytes, tuple[_Sum, dict[str, bytes]]] = {}  # by what was signed
        self._seeds: dict[SumKey, Shares] = defaultdict(dict)
        self._keys: dict[SumKey, Shares] = defaultdict(dict)

    def play(self, stages: int = 8, moves: int = 30) -> None:
        """One attempt begins as it should; then stages of so many moves, each with habits of its own."""
        for begin in (self._deal, self._mask):
            for name in self._honest:
                with contextlib.suppress(ProtocolError):
                    begin(name, WHERES[0])
        for _ in range(stages):
            self._list = self._random.choice(self._lists)
            weights = [self._random.random() ** rarity for rarity in RARITIES]
            self._stage(weights, moves)

    def _stage(self, weights: list[float], moves: int) -> None:
        kinds: list[Callable[[str], None]] = [self._deal, self._mask, self._restart, self._ask, self._reveal]
        for kind in self._random.choices(kinds, weights, k=moves):
            with contextlib.suppress(ProtocolError):
                kind(self._random.choice(self._honest))

    # What it wins.

    @property
    def has_both_secrets(self) -> bool:
        """Of one key of an honest site: so its values alone."""
        return any(self._seed(key) and self._key(key) for key in self._seeds.keys() & self._keys.keys())

    @property
    def has_two_sums(self) -> bool:
        """Of one round, whose difference is of one or two sites."""
        sums = [sum_ for sum_, _ in self._signed.values() if self._opens(sum_)]
        return any(
            one.where[1] == other.where[1] and 0 < len({*one.names} ^ {*other.names}) < LEAST_SUMMED
            for one, other in combinations(sums, 2)
        )

    @property
    def has_a_sum_of_two_models(self) -> bool:
        """Over honest sites that worked from different ones."""
        of = self._sites.models
        sums = [sum_ for sum_, _ in self._signed.values() if self._opens(sum_)]
        return any(
            len({of.get(name, MODEL) for name in {*sum_.names} & {*self._honest}}) > 1 for sum_ in sums
        )

    def _opens(self, sum_: _Sum) -> bool:
        return all(
            self._seed(key) if name in sum_.names else self._key(key) for name, key in sum_.keys.items()
        )

    def _seed(self, key: SumKey) -> bool:
        return hashlib.sha256(_joined(self._seeds[key])).digest() == key.commitment

    def _key(self, key: SumKey) -> bool:
        private = X25519PrivateKey.from_private_bytes(_joined(self._keys[key]))
        return private.public_key().public_bytes_raw() == key.key

    # What it does to an honest site.

    def _restart(self, name: str) -> None:
        if name in self._copies:
            now = self._sites.ledgers[name]
            self._sites.ledgers[name], self._copies[name] = self._copies[name], copy.deepcopy(now)
        self._sites.members[name] = self._sites.member(name)

    def _where(self) -> tuple[str, int, bytes]:
        return self._random.choices(WHERES, (4, 1, 4, 1))[0]

    def _often(self, habit: T, all_: Sequence[T]) -> T:
        return habit if self._random.random() < HABIT else self._random.choice(all_)

    def _deal(self, name: str, where: tuple[str, int, bytes] | None = None) -> None:
        where = where or self._where()
        dealing = self._sites.answer(self._cohort(where), name)
        known = self._dealings[where].setdefault(name, [])
        if dealing not in known:
            known.append(dealing)
            self._read(name, where, dealing)

    def _mask(self, name: str, where: tuple[str, int, bytes] | None = None) -> None:
        where = where or self._where()
        chosen = {one: self._random.choice(made[-2:]) for one, made in self._dealings[where].items()}
        if self._sites.models and self._random.random() < LEAVES_OUT:
            chosen = {
                one: made for one, made in chosen.items() if one not in self._sites.models or one == name
            }
        if name in chosen:
            chosen[name] = self._dealings[where][name][-1]
        keys = {one: chosen[one].key for one in sorted(chosen)}
        shares = {one: dealing.shares[name] for one, dealing in chosen.items() if one != name}
        question = Dealt(**_fields(where), keys=keys, shares=shares)
        self._sites.members[name].mask(question, np.zeros(1, np.uint64))
        self._shown[name] = question
        if signature := self._sites.members[name].consent_to_all(question):
            self._keep(name, _Sum(where, keys, tuple(keys)), signature)

    def _ask(self, name: str) -> None:
        """To sign a list."""
        if (shown := self._shown.get(name)) is None:
            return
        where = (RUN, self._often(self._asks_under, ROUNDS), shown.attempt)
        names = self._often(self._list, self._lists)
        consent = self._sites.members[name].consent(Survivors(**_fields(where), names=names))
        self._keep(name, _Sum(where, shown.keys, names), consent.signature)

    def _reveal(self, name: str) -> None:
        if not self._signed:
            return
        sum_, signatures = self._random.choice(list(self._signed.values()))
        where = (RUN, self._often(self._reveals_under, ROUNDS), sum_.where[2])
        reveal = self._sites.members[name].reveal(Consents(**_fields(where), signatures=signatures))
        for told, found in ((reveal.seeds, self._seeds), (reveal.keys, self._keys)):
            for owner, share in told.items():
                found[sum_.keys[owner]][self._place(name)] = share

    # What its sites do for it.

    def _new_dealing(self, name: str, where: tuple[str, int, bytes], model: bytes) -> Dealing:
        self._sites.ledgers[name] = Ledger()
        return self._sites.member(name).deal(self._cohort(where), model)

    def _read(self, owner: str, where: tuple[str, int, bytes], dealing: Dealing) -> None:
        for name in self._liars:
            context = shares_context(*where, owner, name)
            pair = open_sealed(dealing.shares[name], self._sites.identities[name].sealing, context)
            self._keys[dealing.key][self._place(name)] = pair[: shamir.SHARE_BYTES]
            self._seeds[dealing.key][self._place(name)] = pair[shamir.SHARE_BYTES :]

    def _keep(self, name: str, sum_: _Sum, signature: bytes) -> None:
        statement = sum_.statement
        if statement not in self._signed:
            own = {liar: self._sites.identities[liar].signing.sign(statement) for liar in self._liars}
            self._signed[statement] = sum_, own
        self._signed[statement][1][name] = signature

    def _cohort(self, where: tuple[str, int, bytes]) -> Cohort:
        return Cohort(**_fields(where), names=self._sites.names)

    def _place(self, name: str) -> int:
        return self._sites.names.index(name) + 1


def _fields(where: tuple[str, int, bytes]) -> dict:
    return dict(zip(("run", "round", "attempt"), where, strict=True))


def _joined(shares: Shares) -> bytes:
    """What comes out, whether or not these are enough."""
    try:
        return shamir.join(shares)
    except ValueError:
        return bytes(shamir.SECRET_BYTES)
