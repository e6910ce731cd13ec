"""Which of a site's training cases second moments are of: in parts that go together, and what may be told of each.

numpy only: before anything trains, how many patients are behind each label is counted of the same parts.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.model.answer_counts import counts_training
from fedfin.model.second_moment_spec import (
    MOST_BYTES,
    OTHER_HALF,
    Population,
    label_moment_name,
    second_moment_name,
    sent_shapes,
)
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import FEW, Dataset
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.isolation import without_isolating
from fedfin_edge.cases.populations import isolated_by_modalities, populations

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Moment:
    """A tensor of `second_moment_spec`: of these training cases, bool [cases], that have both modalities.

    `other` None: with labels, and these are known [cases that are held, labels], NaN elsewhere.
    """

    name: str
    held: Mask
    one: str
    other: str | None
    labels: Floats | None = None


@dataclass(frozen=True)
class _Part:
    """Cases whose second moments go together, bool [n]: of a population, or of one half of it."""

    population: Population
    half: str
    cases: Mask


def moments(plan: Plan, dataset: Dataset) -> Iterator[Moment]:
    """All that the site may tell, by its floor.

    Where labels are counted over all sites, the site's own floor of them is limits.LEAST_MERGED.
    """
    train = ~dataset.held_out
    floor, present = dataset.floor.of(train), {m: dataset.present[m][train] for m in plan.dims}
    labels, second = dataset.labels[train].astype(np.float64), dataset.in_second_half[train]
    for part in _parts(plan, present, second, labels, floor):
        for name, held, (one, other) in _named(plan, part, present):
            if not floor.allows(held):
                continue
            of_labels = floor_of_labels(plan, dataset).of(train).of(held)
            known = None if other else _known(labels[held], [m[held] for m in present.values()], of_labels)
            yield Moment(name, held, one, other, known)


def floor_of_labels(plan: Plan, dataset: Dataset) -> Floor:
    """Of how many patients the site asks of either answer in label moments."""
    if counts_training(plan) and dataset.rare_answers:
        return Floor(min(dataset.least_patients, limits.LEAST_MERGED), dataset.patient_numbers)
    return dataset.floor


def _parts(plan: Plan, present: dict[str, Mask], second: Mask, labels: Floats, floor: Floor) -> list[_Part]:
    """The site's cases that may be told of, as finely parted as MOST_BYTES allows.

    Halves are for complete cases of several modalities: few sites may have them. They are not for so few cases that
    their moments may tell about single ones, nor where they withhold a label that the whole need not. A half matters
    more than what incomplete cases blur.
    """
    kept = populations(present, floor)
    if plan.privacy.summed:
        return [
            part
            for name, cases in kept.items()
            for part in _halves(name, cases, second, present, labels, floor)
        ]
    every, together = kept["complete"], kept["complete"] | kept["partial"]
    complete, partial = _Part("complete", "", every), _Part("partial", "", kept["partial"])
    first, other = _Part("complete", "", every & ~second), _Part("complete", OTHER_HALF, every & second)
    ways = [[complete, partial], [_Part("partial", "", together)]]
    halves = [first.cases, other.cases]
    enough = _are_enough(halves) and all(map(floor.allows, halves))
    if len(plan.dims) > 1 and enough and not _withhold_more(halves, every, labels, floor):
        ways = [[first, other, partial], [_Part("partial", "", together & ~other.cases), other], *ways]
    return next((way for way in ways if _bytes(plan, way, present) <= MOST_BYTES), ways[-1])


def _known(labels: Floats, present: list[Mask], floor: Floor) -> Floats:
    """Labels of cases that have a modality, [n, labels], with those unknown that their moments must not tell.

    present: of these cases, who has each modality; its sums are over those, too.
    """
    known = np.where(floor.below(labels), np.nan, labels)
    return without_isolating(known, present, floor)


def _halves(
    population: Population, cases: Mask, second: Mask, present: dict[str, Mask], labels: Floats, floor: Floor
) -> list[_Part]:
    """With secure sums, of however few cases: a summand is always as long.

    Each half is opened by itself, and it may be this site alone that has such cases. So all are in the half that has
    more of them, where a half would be below the floor by itself.
    """
    halves = [cases & ~second, cases & second]
    cells = [present[one] & present[other] for one, other in combinations_with_replacement(present, 2)]
    if any(_fall_below(halves, cases, cell, labels, floor) for cell in cells) or any(
        isolated_by_modalities(half, present, floor).any() for half in halves
    ):
        larger = max(halves, key=np.count_nonzero)
        halves = [np.where(half is larger, cases, False) for half in halves]
    return [_Part(population, half, mask) for half, mask in zip(("", OTHER_HALF), halves, strict=True)]


def _fall_below(halves: list[Mask], whole: Mask, cell: Mask, labels: Floats, floor: Floor) -> bool:
    """Whether of these cases a half has too few for the floor, or withholds a label, and the whole does not."""
    if not floor.allows(whole & cell):
        return False
    parts = [half & cell for half in halves if (half & cell).any()]
    return not all(map(floor.allows, parts)) or _withhold_more(parts, whole & cell, labels, floor)


def _are_enough(halves: list[Mask]) -> bool:
    return min(int(cases.sum()) for cases in halves) >= FEW


def _withhold_more(halves: list[Mask], whole: Mask, labels: Floats, floor: Floor) -> bool:
    """Whether a label is below the floor in a half, and not in the whole."""
    of_whole = floor.of(whole).below(labels[whole])
    return any(bool((floor.of(half).below(labels[half]) & ~of_whole).any()) for half in halves)


def _named(
    plan: Plan, part: _Part, present: dict[str, Mask]
) -> Iterator[tuple[str, Mask, tuple[str, str | None]]]:
    """Of each tensor of the part that any case is behind: its name, those cases, and which modalities it is of.

    With labels, in place of a second modality, where that is None.
    """
    pairs = combinations_with_replacement(plan.dims, 2)
    names: list[tuple[str, tuple[str, str | None]]] = [
        *((second_moment_name(part.population, *pair), pair) for pair in pairs),
        *((label_moment_name(part.population, m), (m, None)) for m in plan.dims),
    ]
    for name, (one, other) in names:
        held = part.cases & present[one] & present[other or one]
        if held.any():
            yield part.half + name, held, (one, other)


def _bytes(plan: Plan, parts: list[_Part], present: dict[str, Mask]) -> int:
    """Of what the site would send of these."""
    shapes = sent_shapes(plan)
    names = [name for part in parts for name, _, _ in _named(plan, part, present)]
    return np.dtype(np.float32).itemsize * sum(math.prod(shapes[name]) for name in names)
