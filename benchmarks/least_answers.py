"""What counting answers over all sites costs: the table of docs/secure-sums.md.

    python -m benchmarks.least_answers [--data synthetic mfeat] [--seeds N] [--cache FOLDER]

As benchmarks/sites_per_block.py, whose cases, settings and rounds these are: without `privacy.least_answers` / with 10.
A model changes by it only in its calibration, which is without the labels that too few patients have an answer of.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from benchmarks.sites_per_block import drafted, main
from benchmarks.study.methods.drafted import Drafted
from fedfin.limits import LEAST_PATIENTS
from fedfin.plan import Plan


@dataclass(frozen=True)
class Counted(Drafted):
    """As drafted, with what fewer than ten patients of all sites answer left out."""

    def plan(self, base: Plan, columns: Mapping[str, int]) -> Plan:
        """With the key."""
        plan = super().plan(base, columns)
        privacy = msgspec.structs.replace(plan.privacy, least_answers=LEAST_PATIENTS)
        return msgspec.structs.replace(plan, privacy=privacy)


WITH = drafted(Counted)

if __name__ == "__main__":
    main(WITH, __doc__)
