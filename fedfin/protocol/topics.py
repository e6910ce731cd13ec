"""Topic names, at most seven levels, and back. The broker ties a site's id to its identity."""

import re
from dataclasses import dataclass

from fedfin.plan import NAME
from fedfin.protocol.messages import PartKind

PREFIX = "fedfin/1"
_SITE = re.compile(rf"{PREFIX}/([^/]+)/site/({NAME})/(up/(?:state|ctl|chunk))")


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

    @property
    def aggregator_state(self) -> str:
        """Retained AggregatorState."""
        return f"{self.root}/agg/state"

    @property
    def manifest(self) -> str:
        """Retained RoundManifest."""
        return f"{self.root}/global/manifest"

    def chunk(self, kind: PartKind, version: int, index: int | None) -> str:
        """Retained chunk `index` of a part of the model; None: the filter for all of them."""
        return f"{self.root}/global/{kind[0]}/{version}/{'+' if index is None else index}"

    def parse_up(self, topic: str) -> tuple[str, str] | None:
        """(site, channel) of a topic that a site writes to, or None."""
        match = _SITE.fullmatch(topic)
        if match is None or match[1] != self.federation:
            return None
        return match[2], match[3]
