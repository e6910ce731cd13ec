"""Who is there, and since when."""

from typing import Annotated

import msgspec

from fedfin.protocol.fields import Boot
from fedfin.protocol.messages.message import Message

Seconds = Annotated[float, msgspec.Meta(ge=0.0, lt=2.0**40)]


class SiteState(Message, frozen=True):
    """Retained: whether a site is there. The broker publishes `online` false when it loses the site.

    `done`: it does not come back; a site holds the final model, a shard has delivered its last sum.
    """

    online: bool
    boot: Boot
    done: bool = False


class AggregatorState(Message, frozen=True):
    """Retained: whether the aggregator is there; also what one says that asks who else is, which is not retained.

    `host`: where it runs; `since`: when it was started, `at`: when it said this, seconds since the epoch, both the same
    where it did not serve yet; `stopped`: it ended by itself; `asks`: whoever serves says this anew; `takes_over`: from
    whoever served before.
    """

    online: bool
    boot: Boot
    host: Annotated[str, msgspec.Meta(max_length=255)] = ""
    since: Seconds = 0.0
    at: Seconds = 0.0
    stopped: bool = False
    asks: bool = False
    takes_over: bool = False


class Twin(Message, frozen=True):
    """Two machines run as this site, or shard: one, which says `boot`, since `here`, and another since `there`."""

    boot: Boot
    here: Seconds
    there: Seconds
