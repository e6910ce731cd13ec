"""How many dimensions a federation of so many patients can sum without telling who is in it.

How well members are told from others grows with D / sqrt(n), of D dimensions and n patients. At D = 0.6 sqrt(n) all
that the aggregator sees with secure sums, of two rounds of training, too, tells them by an AUC of .60 at most
(`python -m benchmarks.leakage`, docs/leakage.md); twice as many dimensions would hold second moments alone to it
(`python -m benchmarks.dimensions`, docs/dimensions.md). Complete cases are summed with all modalities at once,
incomplete ones by themselves. Random features are dimensions, too, and no better ones where encoders give many
features: none are drafted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from fedfin.model.second_moment_spec import basis_dim
from fedfin.plan import Plan

LEAST, MOST = 8, 256
PER_ROOT = 0.6  # dimensions for each unit of the square root of the patients
SHARE_COMPLETE = 5  # every fifth patient, where nothing else is said: pairs at two sites of ten
# benchmarks/leakage/measured/few.json: by who knows a record / and the population, of ten sites.
FEW_PATIENTS, FEW_DIMS, MEASURED = 140, 16, (".69", ".76")


@dataclass(frozen=True)
class Sum:
    """So many dimensions, of so many patients."""

    patients: int
    dims: int

    @property
    def excess(self) -> float:
        """How many times as many dimensions as the patients allow."""
        return self.dims / (PER_ROOT * sqrt(self.patients))

    @property
    def warning(self) -> str:
        """What it means, with what was measured."""
        alone, knowing = MEASURED
        return (
            f"{self.patients:,} patients are behind a sum in {self.dims:,} dimensions, and hide in"
            f" {together(self.patients)}: who knows a patient's record tells with AUC above .60 whether he took part"
            f" (.50 is guessing). Of {FEW_PATIENTS} patients in {FEW_DIMS} dimensions {alone} was measured, and"
            f" {knowing} where he knows the population, too (docs/leakage.md)"
        )


def together(patients: int) -> int:
    """How many dimensions the patients behind a sum allow all that is summed at once."""
    return int(PER_ROOT * sqrt(patients))


def alone(patients: int, complete: int) -> int:
    """How many have a modality, and not all others: a sum of their own; all of them where nobody lacks one."""
    return patients - complete or patients


def columns_for(patients: Sequence[int], complete: int) -> list[int]:
    """Dimensions of each modality, of which so many patients have it and `complete` of them all.

    Complete cases' dimensions are shared out by what each modality's other patients allow, and none gets more than
    these do. 8 at least and 256 at most, whatever the patients allow; what these 8 have too much the others lack.
    """
    most = [together(alone(count, complete)) for count in patients]
    left, shares, columns = together(complete) if complete else sum(most), sum(most), [0] * len(most)
    for place in sorted(range(len(most)), key=most.__getitem__):
        own = most[place]
        columns[place] = min(max(min(left * own // max(shares, 1), own), LEAST), MOST)
        left, shares = max(left - columns[place], 0), shares - own
    return columns


def largest_excess(dims: Sequence[int], patients: Sequence[int], complete: int) -> Sum | None:
    """The sum that has the most dimensions beyond what the patients behind it allow; None where none has.

    A sum that nobody is in is not made.
    """
    sums = [Sum(alone(count, complete), dim) for dim, count in zip(dims, patients, strict=True)]
    if complete:
        sums.append(Sum(complete, sum(dims)))
    beyond = [each for each in sums if each.patients and each.dims > together(each.patients)]
    return max(beyond, key=lambda each: each.excess, default=None)


def excess_of_plan(plan: Plan, patients: int) -> Sum | None:
    """Of sums without noise, where so many patients take part in all and a fifth of them has every modality."""
    if not plan.privacy.summed or plan.privacy.noised:
        return None
    dims = [basis_dim(plan, modality.name) - 1 for modality in plan.modalities]  # without the constant
    counts = [patients] * len(dims)
    return largest_excess(dims, counts, complete_of(counts, by_modality=False))


def complete_of(patients: Sequence[int], *, by_modality: bool) -> int:
    """How many of the patients are taken to have all modalities; the least that have any, where each is counted."""
    if by_modality or len(patients) == 1:
        return min(patients)
    return patients[0] // SHARE_COMPLETE
