"""What a shard's machine asks of its shell: `receive` returns them in the order in which they must be done."""

from dataclasses import dataclass

from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.shards import Rewind
from fedfin.protocol.rounds.effects import Judge, Send, Spool


@dataclass(frozen=True)
class SendUp:
    """Publish on the shard's own up channel, to the root."""

    channel: str
    message: Message


@dataclass(frozen=True)
class JoinRun:
    """Make it durable that the shard is of this run; what is held of another one, rounds and lives, is dropped."""

    run: str


@dataclass(frozen=True)
class OpenRound:
    """Look up, or begin, the records of this round, and report RoundOpened."""

    manifest: RoundManifest


@dataclass(frozen=True)
class BeginLife:
    """Make it durable that the run goes on in another life, from this round: the root was set back, or a shard.

    Later rounds are dropped, and what is held of this one, too, unless the root says that it counts.
    """

    rewind: Rewind


@dataclass(frozen=True)
class SumUp:
    """Add up this round's accepted updates, make the sum durable, and report Summed."""

    round: int


@dataclass(frozen=True)
class Settle:
    """The root has the sum: the updates in it are not needed any more."""

    round: int


@dataclass(frozen=True)
class Finish:
    """The federation is over."""


@dataclass(frozen=True)
class Leave:
    """The root cannot use this shard."""

    reason: str


Effect = Send | SendUp | Spool | Judge | JoinRun | OpenRound | BeginLife | SumUp | Settle | Finish | Leave
