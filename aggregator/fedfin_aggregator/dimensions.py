"""How many dimensions a federation of so many patients can sum without telling who is in it.

With secure sums the aggregator sees the second moments of two halves of the patients, each a sum of its own, and so do
groups of sites without. Who is in one of them seems less far out by it than by the other: of D dimensions and n
patients the two differ, in deviations, in proportion to D / sqrt(n). At D = 1.2 sqrt(n) that is an AUC of about .60
(`python -m benchmarks.dimensions`, docs/dimensions.md). Complete cases are summed with all modalities at once,
incomplete ones by themselves. Random features are dimensions, too, and no better ones where encoders give many
features: none are drafted.
"""

from collections.abc import Sequence
from math import sqrt

LEAST, MOST = 8, 256
PER_ROOT = 1.2  # dimensions for each unit of the square root of the patients
SHARE_COMPLETE = 5  # every fifth patient, where nothing else is said: pairs at two sites of ten


def together(patients: int) -> int:
    """How many dimensions the patients behind a sum allow all that is summed at once."""
    return int(PER_ROOT * sqrt(patients))


def alone(patients: int, complete: int) -> int:
    """How many those allow who have a modality, and not all others; all of them where nobody lacks one."""
    return together(patients - complete or patients)


def columns_for(patients: Sequence[int], complete: int) -> list[int]:
    """Dimensions of each modality, of which so many patients have it and `complete` of them all.

    Complete cases' dimensions are shared out by what each modality's other patients allow, and none gets more than
    these do. 8 at least and 256 at most, whatever the patients allow.
    """
    most = [alone(count, complete) for count in patients]
    shared = together(complete) if complete else sum(most)
    return [min(max(min(shared * own // sum(most), own), LEAST), MOST) for own in most]


def tell_more(dims: Sequence[int], patients: Sequence[int], complete: int) -> bool:
    """Whether any sum has more dimensions than the patients behind it allow."""
    beyond = [dim > alone(count, complete) for dim, count in zip(dims, patients, strict=True)]
    return any(beyond) or (complete > 0 and sum(dims) > together(complete))


def complete_of(patients: Sequence[int], *, by_modality: bool) -> int:
    """How many of the patients are taken to have all modalities; the least that have any, where each is counted."""
    if by_modality or len(patients) == 1:
        return min(patients)
    return patients[0] // SHARE_COMPLETE
