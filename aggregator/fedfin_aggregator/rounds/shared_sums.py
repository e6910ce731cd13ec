"""A round's sums, that no site moves them too far: each is cut to its share, or a few bad ones move them little.

Second moments stay as they were folded: what of them counts is in given_second_moments.py.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from fedfin.codec import Tensors
from fedfin.plan_sections import Robust
from fedfin_aggregator.closed_form.groups import is_grouped
from fedfin_aggregator.fold.fold import Fold, Sum
from fedfin_aggregator.fold.robust import robust_sums
from fedfin_aggregator.rounds.update_reader import CheckedUpdate

Sums = Mapping[str, Sum]
Updates = Iterable[tuple[str, int, CheckedUpdate]]  # each site's, and which share of it counts


def capped_sums(
    folded: Sums, updates: Updates, capped: Mapping[tuple[str, str], Fraction], weight_limit: int
) -> Sums:
    """Folded anew. capped: (tensor, site) to what its weights are multiplied by, where that is not 1."""
    fold = Fold(weight_limit)
    for site, share, update in updates:
        if update.task != "second_moments":
            kept = {
                name: int(weight * capped.get((name, site), 1)) for name, weight in update.weights.items()
            }
            fold.add(update.values, kept, share)
    return fold.sums | _grouped(folded)


def robust_round(folded: Sums, updates: Updates, rule: Robust) -> Sums:
    """A round of training, by a rule of fold/robust.py."""
    trained: dict[str, Tensors] = {}
    for site, _, update in updates:
        if update.task == "train":
            trained[site] = {name: v for name, v in update.values.items() if update.weights[name] > 0}
    return robust_sums(rule, trained) | _grouped(folded)


def _grouped(folded: Sums) -> dict[str, Sum]:
    return {name: sum_ for name, sum_ in folded.items() if is_grouped(name)}
