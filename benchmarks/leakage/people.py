"""Patients whose records the attacks look for: one case each, every feature known, with labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import InputError
from fedfin_edge.cases.dataset import Dataset

Floats = NDArray[np.float64]
MODALITY = "features"
LABELS = ("finding", "coin")  # one that features tell of, and one that nothing tells of: chance is .5
WHOLE = 1664  # features of the study's two encoders: 1280 of an image, 384 of a text
REFERENCE = 1000  # made-up cases of nobody's patients, which a listener has too
_CAUSES, _SPREAD = 200, 0.8


@dataclass(frozen=True)
class People:
    """N patients. features: float32 [n, k]; labels: float32 [n, LABELS], 1, 0 or NaN (unknown)."""

    features: NDArray[np.float32]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, chosen: slice | NDArray[np.intp]) -> "People":
        """Some of them."""
        return People(self.features[chosen], self.labels[chosen])

    def dataset(self) -> Dataset:
        """As a site holds them: all are trained on."""
        everyone = np.ones(len(self), np.bool_)
        return Dataset({MODALITY: self.features}, {MODALITY: everyone}, self.labels, ~everyone)


def made_up(count: int, seed: int) -> People:
    """Gaussian causes of a falling spectrum, through an exponential: skewed and correlated, as encoders' features are.

    The world is the same for every seed; the people are not.
    """
    world, rng = np.random.default_rng(0), np.random.default_rng([seed, 1])
    strength = np.arange(1, _CAUSES + 1) ** -0.5
    mixing = world.normal(size=(_CAUSES, WHOLE)) * (strength / np.linalg.norm(strength))[:, None]
    causes = rng.normal(size=(count, _CAUSES))
    mixed = causes @ mixing + 0.5 * rng.normal(size=(count, WHOLE))
    finding = causes[:, 0] + causes[:, 1] + rng.logistic(size=count) > 0
    return People(np.exp(_SPREAD * mixed).astype(np.float32), _with_coin(finding, rng))


def covid_cxr(folder: Path, cache: Path, seed: int) -> People:
    """One case of each patient of that collection with both an X-ray and a note, in an order that the seed draws.

    Raises InputError when the files or the encoders cannot be had.
    """
    from benchmarks.data.loaders import load_cases

    cases = load_cases("covid", cache, folder=folder)
    both = np.flatnonzero(cases.present["image"] & cases.present["text"])
    _, first = np.unique(cases.groups[both], return_index=True)
    rng = np.random.default_rng([seed, 2])
    rows = rng.permutation(both[first])
    features = np.concatenate([cases.features["image"][rows], cases.features["text"][rows]], axis=1)
    return People(features, _with_coin(cases.labels[rows, 0], rng))


def deal(people: People, sizes: list[int]) -> list[People]:
    """One after the other, so many each. Raises InputError when they are too few."""
    if len(people) < sum(sizes):
        raise InputError(f"{sum(sizes)} patients are asked for, the data has {len(people)}")
    ends = np.cumsum(sizes)
    return [people.rows(slice(end - size, end)) for size, end in zip(sizes, ends.tolist(), strict=True)]


def together(parts: list[People]) -> People:
    """All of them."""
    return People(np.concatenate([p.features for p in parts]), np.concatenate([p.labels for p in parts]))


def _with_coin(finding: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.float32]:
    coin = rng.integers(0, 2, len(finding))
    return np.stack([finding.astype(np.float32), coin.astype(np.float32)], axis=1)
