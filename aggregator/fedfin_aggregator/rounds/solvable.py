"""A round closes whatever sites gave: second moments that have no solution are left out, and their sites named.

moment_checks.py refuses such when they come. Should any pass, the same journal would end every aggregator that is
started on it, so that the one guard stands here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin_aggregator.fold.fold import Sum, less
from fedfin_aggregator.rounds.close import Means, close_round

Sums = Mapping[str, Sum]


@dataclass(frozen=True)
class Solvable:
    """What a round adds to the model and replaces, and the sites whose second moments are not in it.

    second_moments: all that count from now on; None: those of before, as none of this round's do.
    """

    added: Means
    replaced: Means
    second_moments: Sums | None
    left_out: tuple[str, ...]


def close_solvable(
    plan: Plan,
    task: Task,
    sums: Sums,
    second_moments: Sums,
    model: Tensors,
    given: Iterable[tuple[str, Sums]],
) -> Solvable:
    """As close_round, without the first site whose absence mends it; where none does, without any.

    given: what each site gave in this round, made when it is asked for. All that came before had a solution.
    """
    tried: list[str] = []
    for without, kept in _ways(second_moments, given, tried):
        try:
            added, replaced = close_round(plan, task, sums, kept, model)
        except ProtocolError:
            continue
        return Solvable(added, replaced, kept, without)
    return Solvable(*close_round(plan, task, sums, {}, model), None, tuple(tried))


def _ways(
    second_moments: Sums, given: Iterable[tuple[str, Sums]], tried: list[str]
) -> Iterator[tuple[tuple[str, ...], Sums]]:
    """Who is left out, and what is kept then; first nobody."""
    yield (), second_moments
    for site, own in given:
        tried.append(site)
        yield (site,), less(second_moments, own)
