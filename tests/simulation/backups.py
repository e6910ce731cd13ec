"""Copies of parties' folders, and their return: after it the party knows less than the others."""

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from simulation.processes import AggregatorProcess, Process, ShardProcess, SiteProcess

if TYPE_CHECKING:
    from simulation.world import World

COPIED_S, RESTORED_S = 300.0, 400.0  # a copy is made within so long, and comes back within so long after it


class Backups:
    """Of one federation. A folder is copied as it is at that instant, as a snapshot of its disk would be."""

    def __init__(self, world: "World", folder: Path) -> None:
        self._world, self._folder = world, folder
        self._copies = 0

    def plan(self, rng: random.Random, times: int) -> None:
        """So often the folder of the aggregator or root, of a shard, of a site, or of two of them is set back."""
        for _ in range(times):
            site = rng.choice(self._world.sites)
            server = rng.choice([self._world.aggregator, *self._world.shards])
            parties = rng.choice([[server], [site], [server, site]])
            copied, restored = rng.uniform(0.0, COPIED_S), rng.uniform(0.0, RESTORED_S)
            for party in parties:
                self.later(party, copied, copied + restored)

    def later(self, party: Process, copied: float, restored: float) -> None:
        """Copy its folder at one moment, and put the copy back at another."""
        self._copies += 1
        copy = self._folder / f"copy-{self._copies}"
        self._world.clock.after(copied, lambda: self.copy(party, copy))
        self._world.clock.after(restored, lambda: self.restore(party, copy))

    def copy(self, party: Process, copy: Path) -> None:
        """As it is now."""
        if party.folder.exists():
            shutil.copytree(party.folder, copy, ignore=self._others)

    def _others(self, folder: str, names: list[str]) -> set[str]:
        """The aggregator's folder holds all that is ours."""
        if Path(folder) != self._world.aggregator.folder:
            return set()
        ours = {p.name for p in (*self._world.sites, *self._world.shards)} | {self._folder.name}
        return {name for name in names if name in ours}

    def restore(self, party: Process, copy: Path) -> None:
        """It dies, and starts again from the copy."""
        if party.gone or not party.life or not copy.exists():
            return
        self._world.happens(f"{party.kind} set back", party.name)
        party.unflushed.clear()
        if party.alive:
            party.die()
        for name in set(map(str, self._names(party.folder))):
            _remove(party.folder / name)
        shutil.copytree(copy, party.folder, dirs_exist_ok=True)
        self._world.watch.set_back(party)
        if isinstance(party, AggregatorProcess | ShardProcess):
            self._world.read_again(party)
        elif isinstance(party, SiteProcess) and party.finished:
            self._world.start_again(party)

    def _names(self, folder: Path) -> list[str]:
        names = [path.name for path in folder.iterdir()]
        return [name for name in names if name not in self._others(str(folder), names)]


def open_reader(folder: Path) -> contextlib.closing[sqlite3.Connection]:
    """Reads what is durable in the journal there, through a connection of its own."""
    return contextlib.closing(sqlite3.Connection(folder / "journal.sqlite", isolation_level=None))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
