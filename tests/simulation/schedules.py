"""From a seed to a schedule: which plan, which faults; and what its end must look like."""

import functools
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedfin.plan import Plan, Rounds
from fedfin.protocol.schedule import last_round
from simulation.faults import Faults
from simulation.toy import toy_plan
from simulation.world import Trace, World

MEMORY = Path("/dev/shm")  # fsync costs nothing there; a process that dies loses no more than on a disk


@dataclass(frozen=True)
class Variant:
    """A plan, how many sites follow it, and what must hold at the end of a schedule of it."""

    plan: Plan
    sites: int
    check: Callable[[str, World], None]


def run(seed: int, *, variant: str | None = None, calm: bool = False, trace: Trace | None = None) -> World:
    """The schedule of this seed, to its end. Raises whatever goes wrong."""
    rng = random.Random(seed)
    name = rng.choice(list(VARIANTS))
    faults = Faults.draw(rng)
    chosen = VARIANTS[variant or name]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(
            seed, chosen.plan, chosen.sites, Faults() if calm else faults, Path(folder), trace=trace
        )
        world.run()
    if not calm:
        chosen.check(variant or name, world)
    return world


@functools.cache
def undisturbed(variant: str) -> bytes:
    """The final model of a calm schedule."""
    return run(0, variant=variant, calm=True).final


def same_as_undisturbed(variant: str, world: World) -> None:
    """Every site counted in every round, so not a bit differs."""
    rounds = world.results
    assert [row["sites"] for row in rounds] == [float(len(world.sites))] * last_round(world.plan)
    assert world.final == undisturbed(variant), "another model than undisturbed"


VARIANTS = {
    "everyone": Variant(
        toy_plan(Rounds(count=2, sites=3, min_sites=3, deadline_s=1e6)), 3, same_as_undisturbed
    ),
}
