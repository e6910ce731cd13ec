"""What a site makes durable of its part in secure sums, before anything leaves that it takes."""

from typing import Protocol

import msgspec

from fedfin.protocol.cohorts import survivors_statement
from fedfin.protocol.messages.secure_sums import SumKey

Where = tuple[str, int, bytes]  # run, round, attempt: under another round's number it is another attempt


class Kept(msgspec.Struct, frozen=True):
    """What a site holds of an attempt once it has signed who is in the sum.

    `shares`: of each that dealt, of its key and of its seed, as dealt to this site. `grouped`: who was dealt into
    groups whose sums are opened apart, if they are.
    """

    run: str
    round: int
    attempt: bytes
    names: tuple[str, ...]
    keys: dict[str, SumKey]
    shares: dict[str, tuple[bytes, bytes]]
    survivors: tuple[str, ...]
    grouped: tuple[str, ...] = ()

    @property
    def where(self) -> Where:
        """Of which attempt."""
        return self.run, self.round, self.attempt

    @property
    def statement(self) -> bytes:
        """What was signed."""
        return survivors_statement(*self.where, self.keys, self.survivors, self.grouped)


class Ledger(Protocol):
    """What a site makes durable of its part in one run."""

    @property
    def kept(self) -> Kept | None:
        """What was kept last."""

    def keep(self, kept: Kept | None) -> None:
        """In place of what was kept before."""

    def revealed(self, round_: int) -> bytes | None:
        """The attempt of this round of which shares may have left."""

    def reveal(self, round_: int, attempt: bytes, sites: tuple[str, ...], grouped: tuple[str, ...]) -> None:
        """Shares of this attempt at a sum over these sites, in such groups, are about to leave. Never forgotten."""

    @property
    def grouped(self) -> tuple[str, ...]:
        """Who was dealt into groups in this run, or is to be; none where that is not known yet."""

    def beside(self, round_: int) -> list[frozenset[str]]:
        """The sites of the sums, revealed before, beside which this round's must not show one or two sites."""
