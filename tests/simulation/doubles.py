"""Second aggregators and twins: what runs beside the party whose name, and maybe whose folder, it has."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

from simulation.processes import AggregatorProcess, ShardProcess, SiteProcess

if TYPE_CHECKING:
    from simulation.world import World

COPIED_S, STARTED_S = 300.0, 200.0  # a copy is made within so long, and runs within so long after it
BOTH_S = 400.0  # within so long people stop one of two twins


class Doubles:
    """Of one federation."""

    def __init__(self, world: "World", folder: Path) -> None:
        self._world, self._folder = world, folder
        self._over = False  # what has not started until then never does

    def plan(self, rng: random.Random) -> None:
        """An aggregator, a site or both get a double; where there are shards, one of them may get one, too."""
        kind = rng.choice(["aggregator", "site", "both"])
        if kind != "site":
            self._second_aggregator(rng)
        if kind != "aggregator":
            self._twin(rng)
        if self._world.shards and rng.random() < 0.5:
            self._twin_of_a_shard(rng)

    def _second_aggregator(self, rng: random.Random) -> None:
        """From a copied folder, or a fresh one: with keys it would have others, and be none."""
        world, folder = self._world, self._folder / "aggregator"
        copied = rng.uniform(0.0, COPIED_S)
        started = copied + rng.uniform(0.0, STARTED_S)
        take_over = rng.random() < 0.5
        if world.keys is not None or rng.random() < 0.7:
            world.clock.after(copied, lambda: world.backups.copy(world.aggregator, folder))
        world.clock.after(started, lambda: self._start_aggregator(folder, take_over=take_over))

    def _start_aggregator(self, folder: Path, *, take_over: bool) -> None:
        if self._over:
            return
        folder.mkdir(parents=True, exist_ok=True)
        shards = len({each.shard for each in self._world.shards})
        second = AggregatorProcess(
            self._world, folder, shards=shards, name="aggregator-2", take_over=take_over
        )
        self._world.aggregators.append(second)
        self._world.read_again(second)
        self._world.happens("second aggregator", second.name)
        second.boot()

    def _twin(self, rng: random.Random) -> None:
        site, folder = rng.choice(self._world.sites), self._folder / "twin"
        copied = rng.uniform(0.0, COPIED_S)
        stopped = copied + rng.uniform(0.0, BOTH_S)
        stays = rng.random() < 0.5
        self._world.clock.after(copied, lambda: self._start_twin(site, folder))
        self._world.clock.after(stopped, lambda: self._stop(site, stays=stays))

    def _start_twin(self, site: SiteProcess, folder: Path) -> None:
        """A copy of the whole machine, that runs."""
        if site.finished or not site.folder.exists():
            return
        self._world.backups.copy(site, folder)
        twin = SiteProcess(self._world, f"{site.name}-twin", folder, site=site.name)
        self._world.twins.append(twin)
        self._world.happens("twin", twin.name)
        twin.boot()

    def _twin_of_a_shard(self, rng: random.Random) -> None:
        """Nobody needs to stop one of them: the later one ends by itself."""
        shard, folder = rng.choice(self._world.shards), self._folder / "shard-twin"
        self._world.clock.after(rng.uniform(0.0, COPIED_S), lambda: self._start_shard_twin(shard, folder))

    def _start_shard_twin(self, shard: ShardProcess, folder: Path) -> None:
        """A copy of the whole machine, that runs."""
        if self._over:
            return
        self._world.backups.copy(shard, folder)
        twin = ShardProcess(self._world, folder, shard.shard, name=f"{shard.name}-twin")
        self._world.shards.append(twin)
        self._world.read_again(twin)
        self._world.happens("twin of a shard", twin.name)
        twin.boot()

    def _stop(self, site: SiteProcess, *, stays: bool) -> None:
        """People stop the twin, or the one that it was copied from."""
        for twin in self._world.twins:
            if not (site.finished or twin.finished):
                (twin if stays else site).die(for_ever=True)

    def settle(self) -> None:
        """At the end: of the aggregators whose rounds are over one that serves stays; any other one is stopped."""
        world, self._over = self._world, True
        world.shards = [shard for shard in world.shards if not shard.gone]
        over = [each for each in world.aggregators if world.has_finished(each)]
        assert over, f"sites have finished, and no aggregator: {world.states()}"
        final = max(reversed(over), key=lambda each: (each.serves, not each.gone))  # of two such the newer
        for each in world.aggregators:
            if each is not final:
                each.gone, each.alive = True, False
                each.close()
        if final.gone:
            final.gone = False
            final.boot()
        if len(over) > 1:  # each may have let sites go with its own final model
            world.start_finished_again()
