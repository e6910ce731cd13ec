"""Which sites a round asks, told to any number of them by one number and without a list of names.

Every site draws a number for every round, by a hash that all can compute; the round asks those that drew at most
its threshold. Who is asked changes from round to round and is the same wherever it is computed.
"""

import hashlib
from collections.abc import Collection

EVERYONE = 2**64 - 1


def draw(run: str, round_: int, site: str) -> int:
    """The number of 64 bits that a site draws in this round of this run."""
    return int.from_bytes(hashlib.sha256(f"{run}/{round_}/{site}".encode()).digest()[:8], "big")


def threshold(run: str, round_: int, sites: Collection[str], ask: int) -> int:
    """The threshold that asks `ask` of the `sites`; 0, or as many as there are, asks everyone."""
    if not 0 < ask < len(sites):
        return EVERYONE
    return sorted(draw(run, round_, site) for site in sites)[ask - 1]
