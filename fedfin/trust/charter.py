"""The charter: who takes part in which run of which plan, signed by the coordinator's offline key.

Each change is a new charter with the next number; the highest number is obeyed. All parties know the coordinator's
public key by its fingerprint, compared by telephone, and everything else by the charter.
"""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedfin import limits
from fedfin.errors import SettingsError
from fedfin.names import Digest, Name
from fedfin.protocol.fields import Boot
from fedfin.trust import signed_text
from fedfin.trust.identity import KeyHex, PublicKeys, fingerprint, public_key

DOMAIN = "fedfin charter 1"
MOST_SITES = 2048  # some 400 bytes each: the charter is one message
Number = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
Cases = Annotated[int, msgspec.Meta(ge=1, le=limits.SITE_WEIGHT)]


class Seat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One site of the roster; `cases`: more than these it may not claim."""

    name: Name
    keys: PublicKeys
    cases: Cases


class Charter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`coordinator`: whose key signs it: known already, or compared by telephone.

    `epoch`: how many charters of this run have removed a site; each has a group key of its own.

    `expires`: the last day, UTC, on which it is obeyed.
    """

    format: Literal["fedfin charter 1"] = "fedfin charter 1"
    coordinator: KeyHex
    federation: Name
    number: Number
    plan: Digest
    run: Boot
    aggregator: PublicKeys
    roster: Annotated[tuple[Seat, ...], msgspec.Meta(max_length=MOST_SITES)]
    least_sites: Annotated[int, msgspec.Meta(ge=1, le=MOST_SITES)]
    expires: dt.date
    epoch: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0

    def __post_init__(self) -> None:
        names = [seat.name for seat in self.roster]
        keys = [key for seat in self.roster for key in (seat.keys.signing, seat.keys.sealing)]
        keys += [self.aggregator.signing, self.aggregator.sealing]
        for what, values in (("name", names), ("key", keys)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {what} stands twice in the roster")

    @property
    def fingerprint(self) -> str:
        """Of the coordinator's key, to be compared by telephone."""
        return fingerprint(bytes.fromhex(self.coordinator))

    @property
    def seats(self) -> dict[str, Seat]:
        """By name."""
        return {seat.name: seat for seat in self.roster}

    def check_day(self, today: dt.date) -> None:
        """Raises SettingsError when it has expired."""
        if today > self.expires:
            raise SettingsError(
                f"charter {self.number} of federation {self.federation} expired on {self.expires}; the coordinator"
                " extends it with `fedfin aggregator charter`"
            )


def sign_charter(charter: Charter, key: Ed25519PrivateKey) -> str:
    """The charter's text."""
    return signed_text.sign(charter, DOMAIN, key)


def read_charter(text: str, what: str, coordinator: str | None = None) -> Charter:
    """A charter, signed by the coordinator it names; `coordinator`: who that must be. Raises SettingsError."""
    charter = signed_text.parse(text, Charter, what)
    if coordinator is not None and charter.coordinator != coordinator:
        raise SettingsError(
            f"{what}: it is by another coordinator than the one accepted here; if that is right, remove"
            " `trust/accepted.json` and accept it anew, comparing fingerprints"
        )
    signed_text.verify(text, DOMAIN, public_key(charter.coordinator), what)
    return charter


def today() -> dt.date:
    """UTC."""
    return dt.datetime.now(dt.timezone.utc).date()
