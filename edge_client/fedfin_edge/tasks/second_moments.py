"""The second task: second moments of a site's features and labels, from which the aggregator solves closed forms."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from numpy.typing import NDArray

from fedfin.fusion.model import FusionModel
from fedfin.model.second_moment_spec import (
    MOST_BYTES,
    OTHER_HALF,
    Population,
    label_moment_name,
    pack,
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
class _Part:
    """Cases whose second moments go together, bool [n]: of a population, or of one half of it."""

    population: Population
    half: str
    cases: Mask


def pool_second_moments(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `fedfin.model.second_moment_spec` over the training cases, and the number of cases behind each.

    Weighted by that number, the means of several sites are those of their pooled cases. What is below the site's floor
    is left out: a tensor that too few patients are behind, or in it a label that too few of them have, or have not, or
    is unknown of. So is what would be theirs, taken off what is told beside it.
    """
    train = ~dataset.held_out
    floor = dataset.floor.of(train)
    basis, present = standardised_basis(model, plan, dataset, train)
    labels = dataset.labels[train].astype(np.float64)
    tensors, weights = {}, {}
    for part in _parts(plan, present, dataset.in_second_half[train], labels, floor):
        for name, held, (one, other) in _named(plan, part, present):
            if not floor.allows(held):
                continue
            if other is None:
                known = _told(labels[held], [mask[held] for mask in present.values()], floor.of(held))
                tensors[name] = _with_labels(known, basis[one][held])
            else:
                tensors[name] = _products(basis[one][held], basis[other][held], same=one == other)
            weights[name] = int(held.sum())
    return tensors, weights


def _parts(plan: Plan, present: dict[str, Mask], second: Mask, labels: Floats, floor: Floor) -> list[_Part]:
    """The site's cases that may be told of, as finely parted as MOST_BYTES allows.

    Halves are for complete cases of several modalities: few sites may have them. They are not for so few cases that
    their moments may tell about single ones, nor where they withhold a label that the whole need not. A half matters
    more than what incomplete cases blur.
    """
    told = populations(present, floor)
    if plan.privacy.summed:
        return [
            part
            for name, cases in told.items()
            for part in _halves(name, cases, second, present, labels, floor)
        ]
    every, together = told["complete"], told["complete"] | told["partial"]
    complete, partial = _Part("complete", "", every), _Part("partial", "", told["partial"])
    first, other = _Part("complete", "", every & ~second), _Part("complete", OTHER_HALF, every & second)
    ways = [[complete, partial], [_Part("partial", "", together)]]
    halves = [first.cases, other.cases]
    if len(plan.dims) > 1 and _are_enough(halves) and not _withhold_more(halves, every, labels, floor):
        ways = [[first, other, partial], [_Part("partial", "", together & ~other.cases), other], *ways]
    return next((way for way in ways if _bytes(plan, way, present) <= MOST_BYTES), ways[-1])


def _told(labels: Floats, present: list[Mask], floor: Floor) -> Floats:
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


def standardised_basis(
    model: FusionModel, plan: Plan, dataset: Dataset, train: Mask
) -> tuple[dict[str, Floats], dict[str, Mask]]:
    """Of these cases: modality -> [cases, 1 + features + random features], and which cases have it."""
    present = {m: dataset.present[m][train] for m in plan.dims}
    with torch.inference_mode():
        standard = model.standardise(
            {m: torch.from_numpy(dataset.features[m][train]) for m in plan.dims},
            {m: torch.from_numpy(mask) for m, mask in present.items()},
        )
        expanded = {m: values.numpy().astype(np.float64) for m, values in model.expanded(standard).items()}
    return {m: np.insert(values, 0, 1.0, axis=1) for m, values in expanded.items()}, present


def _products(one: Floats, other: Floats, *, same: bool) -> NDArray[np.float32]:
    """The mean outer product of [cases, D] and [cases, E]: [D, E], or packed when both are the same."""
    mean = one.T @ other / len(one)
    return (pack(mean) if same else mean).astype(np.float32)


def _with_labels(labels: Floats, basis: Floats) -> NDArray[np.float32]:
    """Means of known x basis and known x label x basis, [labels, 2, D]."""
    known = ~np.isnan(labels)
    positive = np.nan_to_num(labels)
    means = np.stack([known.T @ basis, positive.T @ basis], axis=1) / len(basis)
    return means.astype(np.float32)
