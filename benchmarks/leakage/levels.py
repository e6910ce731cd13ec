"""What the aggregator sees under each level of privacy that a plan may ask for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from benchmarks.leakage.listener import Seen, summed
from fedfin import limits
from fedfin.plan import Plan

LEAST_SITES = 3  # of a federation that is attacked


@dataclass(frozen=True)
class Level:
    """name: the plan's word for it. sums: of how many sites' parts the aggregator sees the sum, and no part of it.

    least_patients: each site's floor on what it submits, where single patients are attacked; rare_answers: whether sums
    hold answers of fewer; least_answers: of how many patients of all sites they hold answers at least, as they are
    counted. epsilon: of the noise in the sums; None: there is none.
    """

    name: str
    sums: tuple[int, ...]
    least_patients: int = 0
    epsilon: float | None = None
    rare_answers: bool = True
    least_answers: int = 0

    def counting(self, plan: Plan) -> Plan:
        """With the answers counted, where the level has it so."""
        if not self.least_answers:
            return plan
        privacy = msgspec.structs.replace(plan.privacy, least_answers=self.least_answers)
        return msgspec.structs.replace(plan, privacy=privacy)

    def sees(self, parts: Sequence[Seen]) -> Seen:
        """From what so many sites submit. Secure sums equal the plain fold, so this is the fold."""
        return summed(parts)


OPEN = Level("open", sums=(1,))
FLOORS = replace(OPEN, name="open, floors", least_patients=limits.LEAST_PATIENTS)
SECURE = Level(
    "secure",
    sums=(LEAST_SITES, 10),
    least_patients=limits.LEAST_PATIENTS,
    least_answers=limits.LEAST_PATIENTS,
)
UNCOUNTED = replace(
    SECURE, name="secure, uncounted", least_answers=0
)  # or an aggregator that lies of the counts
PLAIN = (OPEN, SECURE)
NOISED = tuple(Level(f"private, epsilon {e:g}", SECURE.sums, epsilon=e) for e in (8.0, 1.0))
EXACT = (OPEN, FLOORS, UNCOUNTED, SECURE)  # for what shows one patient whatever their number


def views(levels: Sequence[Level], sites: int) -> list[tuple[Level, int]]:
    """What is attacked of a federation of so many sites: a level, and of how many sites the sum is, one or all."""
    return [(level, count) for level in levels for count in level.sums if max(count, LEAST_SITES) == sites]
