"""Topic names, at most seven levels, and back. The broker ties a site's id to its identity."""

import re
from dataclasses import dataclass
from functools import lru_cache

from fedfin.names import NAME
from fedfin.protocol.messages.manifest import PartKind

PREFIX = "fedfin/1"
_UP = re.compile(rf"{PREFIX}/([^/]+)/(?:site/({NAME})|(shard/\d{{1,4}}))/(up/(?:state|ctl|chunk))")


@dataclass(frozen=True)
class Topics:
    """The topics of one federation."""

    federation: str

    @property
    def root(self) -> str:
        """What all of the federation's topics start with."""
        return f"{PREFIX}/{self.federation}"

    def site(self, site: str, channel: str) -> str:
        """`channel` is up/state, up/ctl, up/chunk, dn/ctl or dn/chunk."""
        return f"{self.root}/site/{site}/{channel}"

    def party(self, name: str, channel: str) -> str:
        """Of a site, or of a shard, whose name is shard/{index}: no site can be named so."""
        return f"{self.root}/{name}/{channel}" if "/" in name else self.site(name, channel)

    @property
    def aggregator_state(self) -> str:
        """Retained AggregatorState."""
        return f"{self.root}/agg/state"

    @property
    def manifest(self) -> str:
        """Retained RoundManifest."""
        return f"{self.root}/global/manifest"

    @property
    def charter(self) -> str:
        """Retained: the coordinator's newest charter (fedfin/trust/charter.py)."""
        return f"{self.root}/agg/charter"

    def is_chunk(self, topic: str) -> bool:
        """Whether chunks travel on it: they are covered by an outline, and not signed."""
        return topic.endswith("/chunk") or topic.startswith(
            (f"{self.root}/global/s/", f"{self.root}/global/d/")
        )

    def receiver(self, topic: str) -> str:
        """The site whose down topic this is."""
        return topic.removeprefix(f"{self.root}/site/").partition("/")[0]

    def check(self, name: str) -> str:
        """Where `name` writes to itself, to find out what the broker lets through (`fedfin broker check`)."""
        return f"{self.root}/check/{name}"

    def chunk(self, kind: PartKind, version: int, index: int) -> str:
        """Retained chunk `index` of a part of the model."""
        return f"{self.root}/global/{kind[0]}/{version}/{index}"

    def parse_up(self, topic: str) -> tuple[str, str] | None:
        """(site or shard/{index}, channel) of a topic that one of them writes to, or None."""
        federation, name, channel = _parsed(topic)
        return (name, channel) if federation == self.federation else None


@lru_cache(4096)  # a thousand sites' three topics come again and again
def _parsed(topic: str) -> tuple[str, str, str]:
    """Federation, name and channel; three times nothing for another topic."""
    match = _UP.fullmatch(topic)
    return ("", "", "") if match is None else (match[1], match[2] or match[3], match[4])
