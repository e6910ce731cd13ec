"""What stands between a party's messages and its link. Without keys: nothing.

    message -> send -> link                        link -> receive -> message
    update -> seal_update -> chunks -> link        link -> chunks -> open_update -> update      site to aggregator
    model's part -> seal_part -> chunks -> link    link -> chunks -> open_part -> part          aggregator to sites

Both ends are written against these two protocols; SiteChannel and AggregatorChannel are the ones with keys.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from fedfin import limits
from fedfin.protocol.messages.joining import GroupKeys
from fedfin.protocol.messages.manifest import PartKind
from fedfin.trust.identity import Identity, PublicKeys

_EPOCH = 4  # bytes


class SiteEnd(Protocol):
    """A site's."""

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to for `heed`."""

    @property
    def aggregator(self) -> str:
        """The fingerprint of who can read what is sent; empty: whoever reads the broker's topics."""

    @property
    def identity(self) -> Identity | None:
        """This site's own keys; None: it has none, and cannot take part in secure sums."""

    @property
    def roster(self) -> Mapping[str, PublicKeys]:
        """The keys of the charter's sites."""

    @property
    def case_cap(self) -> int:
        """The cases that the charter grants this site."""

    @property
    def least_sites(self) -> int:
        """The fewest sites that the charter wants behind a version."""

    def send(self, topic: str, message: bytes, *, private: bool = True) -> bytes:
        """A message to the aggregator as it travels; a private one is for nobody else to read."""

    def receive(self, topic: str, data: bytes) -> bytes:
        """What came, if it is from whom it must be from. Raises ProtocolError."""

    def heed(self, topic: str, data: bytes) -> str | None:
        """A message on one of `topics`; what a person should know of it. Raises EvictedError, SettingsError."""

    def new_seal(self, round_: int) -> bytes:
        """For one update; kept with it, so that it can be sealed again to the same bytes. Empty: there is none."""

    def seal_update(self, update: bytes, round_: int, seal: bytes) -> bytes:
        """An update's payload. `seal`: of this update."""

    def take_keys(self, message: GroupKeys) -> None:
        """Keep the keys of the run's models."""

    def has_key(self, part: bytes) -> bool:
        """Whether `open_part` has what it needs."""

    def open_part(self, kind: PartKind, version: int, part: bytes) -> bytes:
        """A part of a model. Raises ProtocolError."""

    def check_plan(self, digest: str, run: str) -> None:
        """Whether this plan and run are those that people accepted. Raises EvictedError."""

    def close(self) -> None:
        """Write down what must be remembered."""


class Change(NamedTuple):
    """What a new charter brings: which sites it removed; or why it cannot be obeyed."""

    number: int
    removed: tuple[str, ...]
    problem: str = ""


class AggregatorEnd(Protocol):
    """The aggregator's."""

    @property
    def charter_text(self) -> bytes | None:
        """The charter, to be published; None: there is none."""

    @property
    def enrolled(self) -> frozenset[str] | None:
        """The sites that may take part; None: any."""

    @property
    def case_caps(self) -> Mapping[str, int]:
        """More cases than these a site may not claim."""

    def refresh(self) -> Change | None:
        """Look for a newer charter: cheap enough for every tick."""

    def send(self, topic: str, message: bytes, *, private: bool = True) -> bytes:
        """A message to one site or to all, as it travels; a private one is for nobody else to read."""

    def receive(self, site: str, topic: str, data: bytes) -> bytes:
        """What came, if it is from the site that the topic names. Raises ProtocolError."""

    def own(self, topic: str, data: bytes) -> bytes:
        """What came on a topic that only the aggregator writes to, if it is by its key. Raises ProtocolError."""

    def has_signed(self, site: str, statement: bytes, signature: bytes) -> bool:
        """Whether the charter's site signed this."""

    def open_update(self, site: str, round_: int, payload: bytes) -> bytes:
        """An update's bytes. Raises ProtocolError."""

    def seal_part(self, kind: PartKind, version: int, part: bytes) -> bytes:
        """A part of a model."""

    @property
    def group_keys(self) -> GroupKeys | None:
        """What a site needs to open the parts; goes out before each Welcome."""

    def close(self) -> None:
        """Write down what must be remembered."""


class OpenSiteEnd:
    """No keys: for trying things out among people who trust the broker and each other."""

    topics: tuple[str, ...] = ()
    aggregator = ""
    identity: Identity | None = None
    roster: Mapping[str, PublicKeys] = {}
    case_cap = limits.SITE_WEIGHT
    least_sites = 1

    def send(self, topic: str, message: bytes, *, private: bool = True) -> bytes:  # noqa: ARG002 - the protocol's
        """As it is."""
        return message

    def receive(self, topic: str, data: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return data

    def heed(self, topic: str, data: bytes) -> str | None:  # noqa: ARG002
        """There is nothing to heed."""
        return None

    def new_seal(self, round_: int) -> bytes:  # noqa: ARG002
        """None."""
        return b""

    def seal_update(self, update: bytes, round_: int, seal: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return update

    def take_keys(self, message: GroupKeys) -> None:
        """The aggregator has keys and this site has none: what it sends cannot be read anyway."""

    def has_key(self, part: bytes) -> bool:  # noqa: ARG002
        """None is needed."""
        return True

    def open_part(self, kind: PartKind, version: int, part: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return part

    def check_plan(self, digest: str, run: str) -> None:
        """Any plan."""

    def close(self) -> None:
        """Nothing is remembered."""


class OpenAggregatorEnd:
    """No keys: whoever may publish on a site's topics is that site."""

    group_keys: GroupKeys | None = None
    charter_text: bytes | None = None
    enrolled: frozenset[str] | None = None
    case_caps: Mapping[str, int] = {}

    def refresh(self) -> Change | None:
        """There is none."""
        return None

    def send(self, topic: str, message: bytes, *, private: bool = True) -> bytes:  # noqa: ARG002
        """As it is."""
        return message

    def receive(self, site: str, topic: str, data: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return data

    def own(self, topic: str, data: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return data

    def has_signed(self, site: str, statement: bytes, signature: bytes) -> bool:  # noqa: ARG002
        """Nobody signs anything."""
        return False

    def open_update(self, site: str, round_: int, payload: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return payload

    def seal_part(self, kind: PartKind, version: int, part: bytes) -> bytes:  # noqa: ARG002
        """As it is."""
        return part

    def close(self) -> None:
        """Nothing is remembered."""


def update_context(run: str, site: str, round_: int) -> bytes:
    """What a sealed update is."""
    return msgspec.msgpack.encode(("fedfin update 1", run, site, "aggregator", round_))


def part_context(run: str, kind: PartKind, version: int, epoch: int) -> bytes:
    """What a sealed part of a model is."""
    return msgspec.msgpack.encode(("fedfin part 1", run, kind, version, epoch))


def with_epoch(epoch: int, sealed: bytes) -> bytes:
    """A sealed part as it travels: in front, which group key opens it."""
    return epoch.to_bytes(_EPOCH, "big") + sealed


def split_epoch(part: bytes) -> tuple[int, bytes]:
    """The epoch of a part as it travels, and what is sealed."""
    return int.from_bytes(part[:_EPOCH], "big"), part[_EPOCH:]


def message_context(run: str, topic: str) -> bytes:
    """What a sealed control message is; its signature covers the counter."""
    return msgspec.msgpack.encode(("fedfin message 1", run, topic))
