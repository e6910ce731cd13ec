"""Patients whose records the attacks look for: one case each, every feature known, with labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import InputError
from fedfin_edge.cases.dataset import Dataset

Floats = NDArray[np.float64]
MODALITY = "features"
LABELS = ("finding", "coin")  # one that features tell of, and one that nothing tells of: chance is .5
WHOLE = 1664  # features of the study's two encoders: 1280 of an image, 384 of a text
VALIDATION_EVERY = 10  # one patient of so many calibrates the head, which does not train on them
_CAUSES, _SPREAD = 200, 0.8


@dataclass(frozen=True)
class People:
    """N patients. features: float32 [n, k]; labels: float32 [n, LABELS], 1, 0 or NaN (unknown)."""

    features: NDArray[np.float32]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, chosen: slice | NDArray[np.generic]) -> "People":
        """Some of them."""
        return People(self.features[chosen], self.labels[chosen])

    @property
    def trained_on(self) -> NDArray[np.bool_]:
        """At a site: who is in everything that it sends but the calibration, bool [n]."""
        return np.asarray(np.arange(len(self)) % VALIDATION_EVERY != VALIDATION_EVERY - 1)

    def dataset(self) -> Dataset:
        """As a site holds them: nobody is held out of all."""
        return self._held(out=False)

    def judging(self) -> Dataset:
        """As a site holds those of whom nobody trains."""
        return self._held(out=True)

    def _held(self, *, out: bool) -> Dataset:
        everyone = np.ones(len(self), np.bool_)
        return Dataset(
            {MODALITY: self.features},
            {MODALITY: everyone},
            self.labels,
            np.full(len(self), out),
            validation=~self.trained_on,
            second_half=np.arange(len(self)) % 2 == 1,
        )


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
    return People(np.exp(_SPREAD * mixed).astype(np.float32), with_coin(finding, rng))


def deal(people: People, sizes: list[int]) -> list[People]:
    """One after the other, so many each. Raises InputError when they are too few."""
    if len(people) < sum(sizes):
        raise InputError(f"{sum(sizes)} patients are asked for, the data has {len(people)}")
    ends = np.cumsum(sizes)
    return [people.rows(slice(end - size, end)) for size, end in zip(sizes, ends.tolist(), strict=True)]


def together(parts: list[People]) -> People:
    """All of them."""
    return People(np.concatenate([p.features for p in parts]), np.concatenate([p.labels for p in parts]))


def with_coin(finding: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.float32]:
    """LABELS of people of whom `finding` is known, [n, LABELS]."""
    coin = rng.integers(0, 2, len(finding))
    return np.stack([finding.astype(np.float32), coin.astype(np.float32)], axis=1)
