"""Which shard a site belongs to, when several aggregator processes share the work. Sites need not know."""

import hashlib
import re
from dataclasses import dataclass

from fedfin import limits
from fedfin.errors import SettingsError


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, written index/count; the first is 0."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Raises SettingsError."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if found is None or not int(found[1]) < int(found[2]) <= limits.SHARDS:
            raise SettingsError(
                f"shard {text!r}: write INDEX/COUNT such as 0/2 or 1/2; at most {limits.SHARDS} shards"
            )
        return cls(int(found[1]), int(found[2]))

    def serves(self, site: str) -> bool:
        """Whether the site is one of this shard's: SHA-256 of its id, as a number, modulo the number of shards."""
        return int.from_bytes(hashlib.sha256(site.encode()).digest(), "big") % self.count == self.index

    @property
    def name(self) -> str:
        """How the root knows it among those that send; no site can have this name."""
        return shard_name(self.index)


def shard_name(index: int) -> str:
    """`shard/0`, which is also its place in topics."""
    return f"shard/{index}"


def is_shard(name: str) -> bool:
    """Whether this is a shard's name and not a site's."""
    return "/" in name
