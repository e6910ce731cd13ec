"""What counting answers over all sites costs, and gives back: the table of docs/secure-sums.md.

    python -m benchmarks.least_answers [--data synthetic mfeat] [--seeds N] [--cache FOLDER]

As benchmarks/sites_per_block.py, whose cases, settings and rounds these are: without `privacy.least_answers`, where
each site's floor is asked of either answer / with 10, as drafted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from benchmarks.sites_per_block import drafted, main
from benchmarks.study.methods.drafted import Drafted
from fedfin.plan import Plan


@dataclass(frozen=True)
class Uncounted(Drafted):
    """As drafted, but nobody counts answers."""

    def plan(self, base: Plan, columns: Mapping[str, int]) -> Plan:
        """Without the key."""
        plan = super().plan(base, columns)
        return msgspec.structs.replace(plan, privacy=msgspec.structs.replace(plan.privacy, least_answers=0))


WITHOUT, WITH = drafted(Uncounted), drafted(Drafted)

if __name__ == "__main__":
    main((WITHOUT, WITH), __doc__)
