"""A new life that a root is about to begin: all its shards are in it before any site hears of it.

A shard that is still in the life before would answer what a site offers in the new one with a receipt of the old.
"""

from collections.abc import Iterable

from fedfin.protocol.life import Life


class Renewal:
    """Of a root with these shards. `life`: the one that is about to begin; None: no other than ours."""

    def __init__(self, shards: Iterable[str]) -> None:
        self.life: Life | None = None
        self.party, self.seen = "", 0  # who showed that a folder is behind, and the newest round it has seen
        self.anew = False  # whether the folder is the root's: shards keep nothing of its round
        self._shards = tuple(shards)
        self._lives: dict[str, Life] = {}  # of each shard, by its own word

    def prepare(self, life: Life, party: str, seen: int, *, anew: bool) -> None:
        """This one is about to begin, instead of any other."""
        self.life, self.party, self.seen = life, party, seen
        self.anew = self.anew or anew

    def end(self) -> None:
        """It has begun."""
        self.life, self.anew = None, False

    def heard(self, shard: str, life: Life) -> None:
        """A shard says which life it is in."""
        self._lives[shard] = life

    def allows(self, shard: str, life: Life) -> bool:
        """Whether a shard's sum is one of ours, as it is in our `life` and we begin no other."""
        return self.life is None and self._lives.get(shard) == life

    @property
    def missing(self) -> tuple[str, ...]:
        """The shards that have not followed."""
        return tuple(name for name in self._shards if self._lives.get(name) != self.life)
