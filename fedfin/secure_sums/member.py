"""A site's part in secure sums: one attempt at a time, and one opened sum a round.

It deals shares of two secrets (the key that its pairwise masks come from, and the seed of its own mask), masks its
values, signs who is in the sum, and reveals shares once enough others have signed the same list. `keep` makes what it
needs from there on durable before it leaves. Whatever does not add up is a ProtocolError, and nothing is answered.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.protocol.cohorts import key_statement, shares_context, survivors_statement, threshold
from fedfin.protocol.messages import (
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
from fedfin.secure_sums import masks, shamir
from fedfin.trust import sealing
from fedfin.trust.identity import Identity, PublicKeys


class Kept(msgspec.Struct, frozen=True):
    """What a site holds of an attempt once it has signed who is in the sum; `revealed`: shares may have left.

    `shares`: of each that dealt, of its key and of its seed, as dealt to this site.
    """

    run: str
    round: int
    attempt: bytes
    names: tuple[str, ...]
    keys: dict[str, SumKey]
    shares: dict[str, tuple[bytes, bytes]]
    survivors: tuple[str, ...]
    revealed: bool = False


@dataclass
class _Attempt:
    """What is lost with the process."""

    id: bytes
    names: tuple[str, ...]
    dealing: Dealing
    key: X25519PrivateKey
    seed: bytes
    own: tuple[bytes, bytes]  # this site's share of its own secrets
    masked: bytes = b""
    keys: dict[str, SumKey] = field(default_factory=dict)
    shares: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)


class Member:
    """One site's, in one run. `roster`: the charter's keys by site; `least`: sites without which it gives nothing."""

    def __init__(
        self,
        site: str,
        run: str,
        identity: Identity,
        roster: Callable[[], Mapping[str, PublicKeys]],
        *,
        least: int,
        kept: Kept | None,
        keep: Callable[[Kept | None], None],
    ) -> None:
        self._site, self._run, self._identity, self._roster = site, run, identity, roster
        self._least = max(least, limits.LEAST_SUMMED)
        self._kept = kept if kept is not None and kept.run == run else None
        self._keep = keep
        self._attempt: _Attempt | None = None

    def attempt(self, round_: int) -> bytes | None:
        """The one whose secrets it holds."""
        if self._attempt is not None:
            return self._attempt.id
        return self._kept.attempt if self._kept is not None and self._kept.round == round_ else None

    def deal(self, message: Cohort) -> Dealing:
        """Key and shares for this attempt; for the same one again the same."""
        if self._attempt is not None and self._attempt.id == message.attempt:
            return self._attempt.dealing
        self._check_cohort(message)
        self._remember(None)  # what was signed before is never revealed from here on
        key, seed = X25519PrivateKey.generate(), os.urandom(masks.SEED_BYTES)
        count = len(message.names)
        pairs = zip(
            *(shamir.split(secret, threshold(count), count) for secret in (key.private_bytes_raw(), seed)),
            strict=True,
        )
        shares = dict(zip(message.names, pairs, strict=True))
        dealing = self._dealing(message, key, shares)
        self._attempt = _Attempt(message.attempt, message.names, dealing, key, seed, shares[self._site])
        return dealing

    def _check_cohort(self, message: Cohort) -> None:
        names, kept = message.names, self._kept
        if kept is not None and kept.revealed and kept.round == message.round:
            raise ProtocolError(
                f"the sum of round {message.round} may be open already; it asks for another one"
            )
        if list(names) != sorted(set(names)) or self._site not in names:
            raise ProtocolError("a cohort is not a sorted list of different sites with this one among them")
        if strangers := sorted(set(names) - self._roster().keys()):
            raise ProtocolError(f"{strangers[0]} is asked into a sum, and is not in the charter's roster")
        if len(names) < self._least:
            raise ProtocolError(f"a sum of {len(names)} sites is asked for; the plan wants {self._least}")

    def _dealing(
        self, message: Cohort, key: X25519PrivateKey, shares: Mapping[str, tuple[bytes, bytes]]
    ) -> Dealing:
        run, round_, attempt = message.run, message.round, message.attempt
        public, roster = key.public_key().public_bytes_raw(), self._roster()
        signature = self._identity.signing.sign(key_statement(run, round_, attempt, public))
        sealed = {
            name: sealing.seal(
                b"".join(pair),
                roster[name].recipient,
                shares_context(run, round_, attempt, self._site, name),
            )
            for name, pair in shares.items()
            if name != self._site
        }
        return Dealing(run=run, round=round_, attempt=attempt, key=SumKey(public, signature), shares=sealed)

    def mask(self, message: Dealt, words: masks.Words) -> bytes:
        """The attempt's id and the masked words; `words`: this site's summand, which is written over."""
        own = self._current(message)
        if own.masked:
            return own.masked
        self._check_dealt(own, message)
        own.shares = {name: self._opened(message, name) for name in message.keys if name != self._site}
        own.shares[self._site], own.keys = own.own, dict(message.keys)
        words += masks.own_mask(own.seed, len(words))
        where = message.run, message.round, message.attempt
        for name, peer in message.keys.items():
            if name != self._site:
                mask = masks.pair_mask(own.key, peer.key, where, len(words))
                masks.add_pair(words, mask, self._site, name)
        own.masked = own.id + words.astype(masks.WORD, copy=False).tobytes()
        return own.masked

    def _check_dealt(self, own: _Attempt, message: Dealt) -> None:
        """Enough of the cohort, each with a key that it signed itself."""
        names = message.keys.keys()
        if not names <= set(own.names) or message.keys.get(self._site) != own.dealing.key:
            raise ProtocolError("it names others than the cohort, or another key of this site than its own")
        if len(names) < max(self._least, threshold(len(own.names))):
            raise ProtocolError(f"only {len(names)} of {len(own.names)} sites have dealt")
        for name, key in message.keys.items():
            statement = key_statement(message.run, message.round, message.attempt, key.key)
            self._verify(name, statement, key.signature)

    def _opened(self, message: Dealt, sender: str) -> tuple[bytes, bytes]:
        context = shares_context(message.run, message.round, message.attempt, sender, self._site)
        pair = sealing.open_sealed(message.shares.get(sender, b""), self._identity.sealing, context)
        if len(pair) != 2 * shamir.SHARE_BYTES:
            raise ProtocolError(f"what {sender} has dealt is no pair of shares")
        return pair[: shamir.SHARE_BYTES], pair[shamir.SHARE_BYTES :]

    def consent(self, message: Survivors) -> Consent:
        """A signature of who is in the sum: of one list for an attempt."""
        kept = self._signed(message)
        if kept.survivors != message.names:
            raise ProtocolError("it names other survivors than before, for the same sum")
        statement = _statement(kept)
        signature = self._identity.signing.sign(statement)
        return Consent(run=message.run, round=message.round, attempt=message.attempt, signature=signature)

    def _signed(self, message: Survivors) -> Kept:
        """What was kept when the list was signed; the first time, it is kept now."""
        if self._kept is not None and self._kept.attempt == message.attempt:
            return self._kept
        own, names = self._current(message), message.names
        if not own.masked:
            raise ProtocolError("survivors are named before this site has masked anything")
        if list(names) != sorted(set(names)) or not set(names) <= own.keys.keys() or self._site not in names:
            raise ProtocolError("survivors are others than those who have dealt, or without this site")
        if len(names) < max(self._least, threshold(len(own.names))):
            raise ProtocolError(f"only {len(names)} of {len(own.names)} sites survive: too few for a sum")
        kept = Kept(self._run, message.round, own.id, own.names, own.keys, own.shares, names)
        self._remember(kept)
        return kept

    def reveal(self, message: Consents) -> Reveal:
        """Of each that dealt the share of one secret: of survivors of the seed, of the others of the key."""
        kept = self._kept
        if kept is None or (kept.run, kept.attempt) != (message.run, message.attempt):
            raise ProtocolError("shares are asked for without this site's consent")
        if self._attempt is not None and self._attempt.id != kept.attempt:
            raise ProtocolError("shares are asked for of an attempt that was given up")
        signed = message.signatures.keys() & set(kept.survivors)
        if len(signed) < threshold(len(kept.names)):
            raise ProtocolError(
                f"only {len(signed)} of {len(kept.names)} sites have signed who is in the sum"
            )
        for name in signed:
            self._verify(name, _statement(kept), message.signatures[name])
        if not kept.revealed:
            self._remember(msgspec.structs.replace(kept, revealed=True))
        return Reveal(
            run=message.run,
            round=message.round,
            attempt=message.attempt,
            seeds={name: kept.shares[name][1] for name in kept.survivors},
            keys={name: share[0] for name, share in kept.shares.items() if name not in kept.survivors},
        )

    def _remember(self, kept: Kept | None) -> None:
        if kept != self._kept:
            self._keep(kept)
            self._kept = kept

    def _current(self, message: SumMessage) -> _Attempt:
        if self._attempt is None or self._attempt.id != message.attempt:
            raise ProtocolError("it is of an attempt whose secrets this site does not hold")
        return self._attempt

    def _verify(self, name: str, statement: bytes, signature: bytes) -> None:
        """Raises ProtocolError unless the roster's site signed it."""
        keys = self._roster().get(name)
        try:
            if keys is None:
                raise ProtocolError(f"{name} is not in the charter's roster")
            keys.verifier.verify(signature, statement)
        except InvalidSignature:
            raise ProtocolError(
                f"a signature in {name}'s name is not its own, or is of something else"
            ) from None


def _statement(kept: Kept) -> bytes:
    return survivors_statement(kept.run, kept.round, kept.attempt, kept.keys, kept.survivors)
