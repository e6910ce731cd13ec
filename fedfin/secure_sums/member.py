"""A site's part in secure sums: one attempt at a time, and one opened sum a round.

It deals shares of two secrets (the key that its pairwise masks come from, and the seed of its own mask), masks its
values, signs who is in the sum, and reveals shares once enough others have signed the same list. With its values it
signs that all who have dealt are in it; where some are lost, one other list. Its ledger makes durable what that takes
before it leaves. Whatever does not add up is a ProtocolError, and nothing is answered; what it
was asked about and has lost, a LostError.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.model.blocks import Blocks, Judgement
from fedfin.protocol.cohorts import key_statement, shares_context, threshold
from fedfin.protocol.messages.secure_sums import (
    Cohort,
    Consent,
    Consents,
    Dealing,
    Dealt,
    Reveal,
    SumKey,
    SumMessage,
    Survivors,
)
from fedfin.protocol.subtraction import exposes
from fedfin.protocol.sum_groups import Groups, deal, members, whole
from fedfin.secure_sums import masks, shamir
from fedfin.secure_sums.ledger import Kept, Ledger, Where
from fedfin.trust import sealing
from fedfin.trust.identity import Identity, PublicKeys
from fedfin.trust.many_seals import ManySeals
from fedfin.trust.weak_keys import is_weak_sealing_key


class RevealedError(ProtocolError):
    """Shares of another sum of the round may have left: this site is in no second one."""


class LostError(ProtocolError):
    """It is of an attempt whose secrets this site does not hold: never, or not any more."""


class BadDealingError(ProtocolError):
    """What these sites have dealt is of no use to this one: it masks nothing in this attempt, and says so."""

    def __init__(self, why: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"what {name} has dealt: {why[name]}" for name in sorted(why)))
        self.names = tuple(sorted(why))


@dataclass
class _Attempt:
    """What is lost with the process."""

    where: Where
    model: bytes  # the id of the version that this site worked from
    names: tuple[str, ...]
    dealing: Dealing
    key: X25519PrivateKey
    seed: bytes
    own: tuple[bytes, bytes]  # this site's share of its own secrets
    grouped: tuple[str, ...]
    groups: Groups  # of the cohort, if it is in any
    gives: bytes = b""  # to which blocks, where the plan asks for sites behind each
    masked: bool = False
    judged: tuple[dict[str, bytes], Judgement] | None = (
        None  # what each that dealt gives; so what is in the sum
    )
    keys: dict[str, SumKey] = field(default_factory=dict)
    shares: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)


class Member:
    """One site's, in one run. `roster`: the charter's keys by site.

    It gives nothing to a sum over fewer sites than `least`, or over more than `most`: lanes hold no more.
    `most_groups`: into how many groups the cohort of a round falls at most; 0: it makes one sum. `blocks`: of a round,
    where the plan asks for sites behind each.
    """

    def __init__(
        self,
        site: str,
        run: str,
        identity: Identity,
        roster: Callable[[], Mapping[str, PublicKeys]],
        *,
        least: int,
        most: int = limits.COHORT,
        ledger: Ledger,
        most_groups: Callable[[int], int] = lambda _: 0,
        blocks: Callable[[int], Blocks | None] = lambda _: None,
    ) -> None:
        self._blocks = blocks
        self._most_groups = most_groups
        self._site, self._run, self._identity, self._roster = site, run, identity, roster
        self._least, self._most = max(least, limits.LEAST_SUMMED), most
        kept = ledger.kept
        self._kept = kept if kept is not None and kept.run == run else None
        self._ledger = ledger
        self._attempt: _Attempt | None = None
        self._left: set[Where] = set()  # attempts that were left for another

    def deal(self, message: Cohort, model: bytes, gives: bytes = b"") -> Dealing:
        """Key and shares for this attempt; for the same one again the same.

        model: the id of the version that this site worked from; gives: to which blocks (blocks.py).
        """
        where = _where(message)
        if self._attempt is not None and self._attempt.where == where:
            return self._attempt.dealing
        self._check_cohort(message)
        grouped, groups = self._groups(message)
        if self._attempt is not None:
            self._left.add(self._attempt.where)
        self._remember(None)  # what was signed before is never revealed from here on
        key, seed = X25519PrivateKey.generate(), os.urandom(masks.SEED_BYTES)
        count = len(message.names)
        pairs = zip(
            *(shamir.split(secret, threshold(count), count) for secret in (key.private_bytes_raw(), seed)),
            strict=True,
        )
        shares = dict(zip(message.names, pairs, strict=True))
        dealing = self._dealing(message, self._sum_key(message, model, key, seed, gives), shares, gives)
        self._attempt = _Attempt(
            where, model, message.names, dealing, key, seed, shares[self._site], grouped, groups, gives
        )
        return dealing

    def _groups(self, message: Cohort) -> tuple[tuple[str, ...], Groups]:
        """Who was dealt into groups, and those of this cohort; none where it makes one sum."""
        most, grouped = self._most_groups(message.round), message.grouped or ()
        if not most and not grouped:
            return (), ()
        if not most or list(grouped) != sorted(set(grouped)):
            raise ProtocolError("groups are asked for that the plan has not, or of no sorted list of sites")
        if self._ledger.grouped not in {(), grouped}:
            raise ProtocolError("other groups are asked for than those that this run has")
        groups = whole(deal(grouped, most), message.names)
        if members(groups) != message.names:
            raise ProtocolError(
                f"the cohort is not made of {limits.LEAST_GROUPS} groups or more, each of them whole"
            )
        return grouped, groups

    def _check_cohort(self, message: Cohort) -> None:
        names = message.names
        if _where(message) in self._left:
            raise LostError("a cohort is asked for that was left for another")
        if self._ledger.revealed(message.round) is not None:
            raise RevealedError(
                f"the sum of round {message.round} may be open already; it asks for another one"
            )
        if list(names) != sorted(set(names)) or self._site not in names:
            raise ProtocolError("a cohort is not a sorted list of different sites with this one among them")
        if strangers := sorted(set(names) - self._roster().keys()):
            raise ProtocolError(f"{strangers[0]} is asked into a sum, and is not in the charter's roster")
        if len(names) < self._least:
            raise ProtocolError(
                f"a sum of {len(names)} sites is asked for; plan and charter want {self._least}"
            )
        if len(names) > self._most:
            raise ProtocolError(
                f"a sum of {len(names)} sites is asked for; those of this plan hold {self._most}"
            )

    def _sum_key(
        self, message: Cohort, model: bytes, key: X25519PrivateKey, seed: bytes, gives: bytes
    ) -> SumKey:
        public, commitment = key.public_key().public_bytes_raw(), hashlib.sha256(seed).digest()
        statement = key_statement(*_where(message), model, public, commitment, gives)
        return SumKey(public, commitment, self._identity.signing.sign(statement))

    def _dealing(
        self, message: Cohort, key: SumKey, shares: Mapping[str, tuple[bytes, bytes]], gives: bytes
    ) -> Dealing:
        where, roster, seals = _where(message), self._roster(), ManySeals()
        sealed = {
            name: seals.seal(b"".join(pair), roster[name].recipient, shares_context(*where, self._site, name))
            for name, pair in shares.items()
            if name != self._site
        }
        run, round_, attempt = where
        marked = gives or msgspec.UNSET
        return Dealing(run=run, round=round_, attempt=attempt, key=key, shares=sealed, gives=marked)

    def mask(self, message: Dealt, words: masks.Words) -> bytes:
        """The attempt's id and the masked words, once; `words`: this site's summand, which is written over.

        Where the plan asks for sites behind every block they hold no more than the judgement of `message.gives` says.
        """
        own = self._current(message)
        if own.masked:  # the difference of two payloads under the same masks would be that of their values
            raise ProtocolError("this site's values are masked for this attempt already")
        self._check_dealt(own, message)
        own.judged = self._judge(own, message)
        own.shares, own.keys = self._shares(message) | {self._site: own.own}, dict(message.keys)
        put_on = masks.Masks()
        put_on.add(masks.own_seed(own.seed))
        peers = next((group for group in own.groups if self._site in group), message.keys.keys())
        for name, peer in message.keys.items():
            if name != self._site and name in peers:
                put_on.add_pair(masks.pair_seed(own.key, peer.key, own.where), self._site, name)
        put_on.apply(words)
        own.masked = True
        return b"".join((message.attempt, words.astype(masks.WORD, copy=False).data))

    def _check_dealt(self, own: _Attempt, message: Dealt) -> None:
        """Enough of the cohort, each with a key that it signed itself, for values made from this site's model."""
        names = message.keys.keys()
        if message.keys.get(self._site) != own.dealing.key:
            raise LostError("it has another key of this site than its own of now")
        if not names <= set(own.names):
            raise ProtocolError("it names others than the cohort")
        if len(names) < max(self._least, threshold(len(own.names))):
            raise ProtocolError(f"only {len(names)} of {len(own.names)} sites have dealt")
        for name, key in message.keys.items():
            if name != self._site:
                gives = (message.gives or {}).get(name, b"")
                statement = key_statement(*own.where, own.model, key.key, key.commitment, gives)
                self._verify(name, statement, key.signature, "something else, or made from another model")

    def _judge(self, own: _Attempt, message: Dealt) -> tuple[dict[str, bytes], Judgement] | None:
        """By what each has signed, this site among them, what may be in the sum."""
        blocks, gives = self._blocks(message.round), message.gives or {}
        if blocks is None:
            return None
        if gives.keys() != message.keys.keys() or gives[self._site] != own.gives:
            raise ProtocolError("it does not hold to which blocks each gives that has dealt")
        return gives, blocks.judge(gives)

    def _shares(self, message: Dealt) -> dict[str, tuple[bytes, bytes]]:
        """What all others have dealt. Raises BadDealingError, which names each whose dealing is of no use."""
        shares, bad = {}, {}
        for name in message.keys.keys() - {self._site}:
            try:
                shares[name] = self._opened(message, name)
            except ProtocolError as error:
                bad[name] = str(error)
        if bad:
            raise BadDealingError(bad)
        return shares

    def _opened(self, message: Dealt, sender: str) -> tuple[bytes, bytes]:
        if is_weak_sealing_key(message.keys[sender].key):
            raise ProtocolError("its key is of small order, and none to agree on a mask with")
        context = shares_context(*_where(message), sender, self._site)
        pair = sealing.open_sealed(message.shares.get(sender, b""), self._identity.sealing, context)
        if len(pair) != 2 * shamir.SHARE_BYTES:
            raise ProtocolError("it is no pair of shares")
        return pair[: shamir.SHARE_BYTES], pair[shamir.SHARE_BYTES :]

    def consent_to_all(self, message: Dealt) -> bytes:
        """A signature ahead, once values are masked: all who have dealt are in the sum. Empty: they must not be."""
        names = tuple(sorted(message.keys))
        whole_list = Survivors(run=message.run, round=message.round, attempt=message.attempt, names=names)
        try:
            return self.consent(whole_list).signature
        except ProtocolError:
            return b""

    def consent(self, message: Survivors) -> Consent:
        """A signature of who is in the sum: of two lists for an attempt at most, all who have dealt and one other."""
        kept = self._signed(message)
        if kept.survivors != message.names:
            raise ProtocolError("it names other survivors than before, for the same sum")
        signature = self._identity.signing.sign(kept.statement)
        return Consent(run=message.run, round=message.round, attempt=message.attempt, signature=signature)

    def _signed(self, message: Survivors) -> Kept:
        """What was kept when the list was signed; the first time, it is kept now."""
        kept = self._kept
        if kept is not None and kept.where == _where(message) and not self._replaces(message.names, kept):
            return kept
        own, names = self._current(message), message.names
        if not own.masked:
            raise ProtocolError("survivors are named before this site has masked anything")
        if list(names) != sorted(set(names)) or not set(names) <= own.keys.keys() or self._site not in names:
            raise ProtocolError("survivors are others than those who have dealt, or without this site")
        if len(names) < max(self._least, threshold(len(own.names))):
            raise ProtocolError(f"only {len(names)} of {len(own.names)} sites survive: too few for a sum")
        if own.groups and members(whole(own.groups, names)) != names:
            raise ProtocolError("survivors are not whole groups, three at least")
        self._check_beside(own, message)
        kept = Kept(*own.where, own.names, own.keys, own.shares, names, own.grouped)
        self._remember(kept)
        return kept

    def _replaces(self, names: tuple[str, ...], kept: Kept) -> bool:
        """Whether this list may be signed in place of that of all, of which no share was revealed, nor will be."""
        ahead = kept.survivors == tuple(sorted(kept.keys))
        return names != kept.survivors and ahead and self._ledger.revealed(kept.round) is None

    def _check_beside(self, own: _Attempt, message: Survivors) -> None:
        """That this sum shows no part of too few sites, alone or less another one."""
        blocks, names = self._blocks(message.round), message.names
        if exposes(names, self._ledger.beside(message.round), alike=blocks is not None):
            raise ProtocolError(
                "beside a sum that may be open already this one would show what one or two sites gave"
            )
        if blocks is None:
            return
        assert own.judged is not None  # masked, and so judged
        gives, judgement = own.judged
        if not blocks.hold({name: gives[name] for name in names}, judgement):
            raise ProtocolError(
                f"of those that survive fewer than {blocks.least} give to a block that is in the sum"
            )

    def reveal(self, message: Consents) -> Reveal:
        """Of each that dealt the share of one secret: of survivors of the seed, of the others of the key."""
        kept = self._kept
        if kept is None or kept.where != _where(message):
            raise LostError("shares are asked for without this site's consent")
        if self._attempt is not None and self._attempt.where != kept.where:
            raise LostError("shares are asked for of an attempt that was left for another")
        revealed = self._ledger.revealed(message.round)
        if revealed not in {None, message.attempt}:
            raise RevealedError("another sum of this round may be open already")
        signed, needed = sorted(message.signatures.keys() & set(kept.survivors)), threshold(len(kept.names))
        if len(signed) < needed:
            raise ProtocolError(
                f"only {len(signed)} of {len(kept.names)} sites have signed who is in the sum"
            )
        statement = kept.statement
        for name in signed[:needed]:
            self._verify(name, statement, message.signatures[name])
        if revealed is None:
            self._ledger.reveal(message.round, message.attempt, kept.survivors, kept.grouped)
        return Reveal(
            run=message.run,
            round=message.round,
            attempt=message.attempt,
            seeds={name: kept.shares[name][1] for name in kept.survivors},
            keys={name: share[0] for name, share in kept.shares.items() if name not in kept.survivors},
        )

    def _remember(self, kept: Kept | None) -> None:
        if kept != self._kept:
            self._ledger.keep(kept)
            self._kept = kept

    def _current(self, message: SumMessage) -> _Attempt:
        if self._attempt is None or self._attempt.where != _where(message):
            raise LostError("it is of an attempt whose secrets this site does not hold")
        return self._attempt

    def _verify(self, name: str, statement: bytes, signature: bytes, others: str = "something else") -> None:
        """Raises ProtocolError unless the roster's site signed it. others: what it may have signed in its place."""
        keys = self._roster().get(name)
        try:
            if keys is None:
                raise ProtocolError(f"{name} is not in the charter's roster")
            keys.verifier.verify(signature, statement)
        except InvalidSignature:
            raise ProtocolError(f"a signature in {name}'s name is not its own, or is of {others}") from None


def _where(message: SumMessage) -> Where:
    return message.run, message.round, message.attempt
