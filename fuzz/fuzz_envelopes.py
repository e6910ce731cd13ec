"""What comes on every topic, before anybody has checked who sent it; nothing that was not signed may pass."""

import contextlib
import functools
import importlib
from collections.abc import Callable

from fuzz.scratch import REFUSED
from fuzz.trust_parties import TOPICS, ends

UP = tuple(TOPICS.site("s0", channel) for channel in ("up/ctl", "up/state"))
DOWN = (TOPICS.site("s0", "dn/ctl"), TOPICS.manifest, TOPICS.aggregator_state)


@functools.cache
def genuine() -> tuple[bytes, ...]:
    """What the parties said themselves."""
    return tuple(importlib.import_module("fuzz.seeds").seeds("envelopes"))


def fuzz(data: bytes) -> None:
    """Refused, or one of the genuine ones to the byte."""
    site, aggregator = ends()
    doors: list[Callable[[], bytes]] = [
        *(functools.partial(aggregator.receive, "s0", topic, data) for topic in UP),
        *(functools.partial(site.receive, topic, data) for topic in DOWN),
        functools.partial(aggregator.open_update, "s0", 1, data),
        functools.partial(site.open_part, "delta", 1, data),
    ]
    for door in doors:
        with contextlib.suppress(REFUSED):
            door()
            assert data in genuine()
    assert "ignored" in (site.heed(TOPICS.charter, data) or "ignored")
