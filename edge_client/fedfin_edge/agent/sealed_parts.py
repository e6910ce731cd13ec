"""The parts of a model as they came, sealed to the sites of the roster: whether they can be opened, and opened."""

from dataclasses import replace

from fedfin.protocol.site_effects import Assemble
from fedfin.trust.channel import SiteEnd


def can_open(channel: SiteEnd, wanted: Assemble) -> bool:
    """Whether the group keys of all parts are here."""
    snapshot = [] if wanted.snapshot is None else [wanted.snapshot]
    return all(map(channel.has_key, (*wanted.deltas, *snapshot)))


def open_parts(channel: SiteEnd, wanted: Assemble) -> Assemble:
    """With its parts as the aggregator made them. Raises ProtocolError."""
    first = wanted.version - len(wanted.deltas) + 1
    snapshot, checked = wanted.snapshot, wanted.checked
    if snapshot is not None:
        snapshot = channel.open_part("snapshot", first - 1, snapshot)
        # The aggregator has signed the digest of what it sealed as this version: a second digest says no more.
        checked |= snapshot is not wanted.snapshot and not wanted.deltas
    deltas = [
        channel.open_part("delta", version, delta) for version, delta in enumerate(wanted.deltas, first)
    ]
    return replace(wanted, snapshot=snapshot, deltas=tuple(deltas), checked=checked)
