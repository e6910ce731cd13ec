"""Which course of its rounds a run is in: a restored backup begins another."""

import msgspec

from fedfin.protocol.fields import Count, Run


class Life(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One course of a run's rounds. The first has no name.

    An aggregator whose folder was restored from a backup is behind its sites. It begins the next life, whose rounds its
    sites answer anew. `name`: drawn, so that two aggregators that both begin one do not mean the same.
    """

    number: Count = 0
    name: Run = ""


FIRST_LIFE = Life()
