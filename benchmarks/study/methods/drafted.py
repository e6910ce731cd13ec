"""The default as `fedfin aggregator draft --patients` writes it: what ships, beside what the study judges."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.study.federation import Federation
from benchmarks.study.method import NotApplicableError, Progress, Trained
from benchmarks.study.methods.projected import Projected
from fedfin.limits import LEAST_SUMMED, SUMMED_ROUNDS
from fedfin.plan import Plan
from fedfin.plan_sections import Codec
from fedfin.privacy.dimensions import columns_for


@dataclass(frozen=True)
class Drafted(Projected):
    """In secure sums and the columns that its patients allow, int4 up, few rounds of training; floors at the sites.

    `dims` does not count: `columns` says how many.
    """

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """As Projected. Raises NotApplicableError for fewer sites than make a sum: their draft is open."""
        if len(federation.sites) < LEAST_SUMMED:
            raise NotApplicableError(f"a plan drafted for fewer than {LEAST_SUMMED} sites has no secure sums")
        return super().train(federation, progress)

    def columns(self, federation: Federation) -> Mapping[str, int]:
        """By how many training cases, each taken for a patient, have each modality, and all."""
        present = [dataset.present for dataset in federation.sites.values()]
        patients = [int(sum(of[m].sum() for of in present)) for m in federation.plan.dims]
        complete = int(sum(np.logical_and.reduce(list(of.values())).sum() for of in present))
        return dict(zip(federation.plan.dims, columns_for(patients, complete), strict=True))

    def plan(self, base: Plan, columns: Mapping[str, int]) -> Plan:
        """With a draft's rounds and codec."""
        plan = super().plan(base, columns)
        rounds = msgspec.structs.replace(plan.rounds, count=min(plan.rounds.count, SUMMED_ROUNDS))
        return msgspec.structs.replace(plan, rounds=rounds, codec=Codec(up="int4"))
