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

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Part:
    """Cases whose second moments go together: of a population, or of one half of it.

    cases: bool [n]; counted: bool [n], those that the floor counts: in a sum over sites both halves, since nobody sees
    one of them alone.
    """

    population: Population
    half: str
    cases: Mask
    counted: Mask


def pool_second_moments(
    model: FusionModel, plan: Plan, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Tensors of `fedfin.model.second_moment_spec` over the training cases, and the number of cases behind each.

    Weighted by that number, the means of several sites are those of their pooled cases. What is below the site's floor
    is left out: a tensor that too few patients are behind, or in it a label that too few of them have, or have not.
    """
    train = ~dataset.held_out
    floor = dataset.floor.of(train)
    basis, present = standardised_basis(model, plan, dataset, train)
    labels = dataset.labels[train].astype(np.float64)
    tensors, weights = {}, {}
    for part in _parts(plan, present, dataset.in_second_half[train], labels, floor):
        for name, held, (one, other) in _named(plan, part, present):
            counted = part.counted & present[one] & present[other or one]
            if not floor.allows(counted):
                continue
            if other is None:
                withheld = floor.of(counted).withheld(labels[counted])
                tensors[name] = _with_labels(np.where(withheld, np.nan, labels[held]), basis[one][held])
            else:
                tensors[name] = _products(basis[one][held], basis[other][held], same=one == other)
            weights[name] = int(held.sum())
    return tensors, weights


def _parts(plan: Plan, present: dict[str, Mask], second: Mask, labels: Floats, floor: Floor) -> list[_Part]:
    """The site's cases, as finely parted as MOST_BYTES allows.

    Halves are for complete cases of several modalities: few sites may have them. They are not for so few cases that
    their moments may tell about single ones, nor where they withhold a label that the whole need not. A half matters
    more than what incomplete cases blur.
    """
    every = np.logical_and.reduce(list(present.values()))
    if plan.privacy.summed:
        return _in_halves(every, second)
    complete, partial = _part("complete", "", every), _part("partial", "", ~every)
    first, other = _part("complete", "", every & ~second), _part("complete", OTHER_HALF, every & second)
    ways = [[complete, partial], [_part("partial", "", np.ones_like(every))]]
    halves = [first.cases, other.cases]
    if len(plan.dims) > 1 and _are_enough(halves) and not _withhold_more(halves, every, labels, floor):
        ways = [[first, other, partial], [_part("partial", "", ~other.cases), other], *ways]
    return next((way for way in ways if _bytes(plan, way, present) <= MOST_BYTES), ways[-1])


def _part(population: Population, half: str, cases: Mask) -> _Part:
    """By itself."""
    return _Part(population, half, cases, cases)


def _in_halves(every: Mask, second: Mask) -> list[_Part]:
    """With secure sums, whatever the site has: a summand is always as long, and of one site nobody sees a half."""
    populations: dict[Population, Mask] = {"complete": every, "partial": ~every}
    return [
        _Part(population, half, cases & which, cases)
        for population, cases in populations.items()
        for half, which in (("", ~second), (OTHER_HALF, second))
    ]


def _are_enough(halves: list[Mask]) -> bool:
    return min(int(cases.sum()) for cases in halves) >= FEW


def _withhold_more(halves: list[Mask], whole: Mask, labels: Floats, floor: Floor) -> bool:
    """Whether a label is below the floor in a half, and not in the whole."""
    of_whole = floor.of(whole).withheld(labels[whole])
    return any(bool((floor.of(half).withheld(labels[half]) & ~of_whole).any()) for half in halves)


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
