"""Each method at its best: chosen on training cases alone, with as many trials for each."""

from dataclasses import dataclass, field, fields, replace

import numpy as np
from study_cases import dealt

from benchmarks.study.tuning import (
    EPOCHS,
    LEARNING_RATES,
    WEIGHT_DECAYS,
    TrainingCases,
    choose,
    training_cases,
)
from fedfin.plan_sections import Training

BEST = (LEARNING_RATES[-1], EPOCHS[-1], WEIGHT_DECAYS[-1])


@dataclass
class _Watched:
    """Trains nothing; answers better the more of its recipe is BEST. It remembers what it was shown."""

    name: str = "watched"
    tried: list[tuple[float, int, float]] = field(default_factory=list)
    numbers: list[set[float]] = field(default_factory=list)

    def train(self, federation, _progress):
        training = federation.plan.training
        recipe = training.learning_rate, training.epochs, training.weight_decay
        self.tried.append(recipe)
        self.numbers.append(_numbers(federation.sites.values()))
        return _Guess(sum(one != best for one, best in zip(recipe, BEST, strict=True)))


@dataclass
class _Guess:
    """Knows the label of a case by its number, but for noise."""

    noise: int

    def answer(self, features, _present):
        number = features["image"][:, :1]
        draws = np.random.default_rng(1).normal(size=(len(number), 4))
        return np.where(_truth(number), 1.0, 0.0) + self.noise * draws


def _truth(number):
    labels = np.eye(4)[np.random.default_rng(5).integers(0, 4, 600)]
    return labels[number[:, 0].astype(int)] == 1


def _numbers(datasets):
    return {n for dataset in datasets for n in dataset.features["image"][:, 0].tolist()}


def _federation():
    """Every site has every modality, so that each case tells its number; labels follow from it."""
    federation = dealt(ratio="0:0:3")
    sites = {
        name: replace(dataset, labels=_truth(dataset.features["image"]).astype(np.float32))
        for name, dataset in federation.sites.items()
    }
    return replace(federation, sites=sites)


def test_what_chooses_cannot_read_the_judge() -> None:
    """It is not among what it is given; and no trial is shown or judged by one of its cases."""
    federation, watched = _federation(), _Watched()
    assert {each.name for each in fields(TrainingCases)} == {
        "plan",
        "sites",
        "recorded",
        "public",
        "texts",
        "inner",
    }
    choose(watched, training_cases(federation))
    judge = _numbers([federation.judge])
    assert not any(judge & shown for shown in watched.numbers)
    assert judge


def test_every_method_has_as_many_trials_and_the_best_is_taken() -> None:
    watched = _Watched()
    best, *others = choose(watched, training_cases(_federation()))
    assert len(watched.tried) == len(LEARNING_RATES) * len(EPOCHS) + len(WEIGHT_DECAYS) == 1 + len(others)
    assert (best.learning_rate, best.epochs, best.weight_decay) == BEST
    assert best.score == max(trial.score for trial in [best, *others])


def test_a_patient_is_on_one_side_of_the_inner_split() -> None:
    """Three cases in a row are of one patient."""
    federation, watched = _federation(), _Watched()
    choose(watched, training_cases(federation))
    every, trained = _numbers(federation.sites.values()), watched.numbers[0]
    apart = every - trained
    assert apart
    assert trained
    assert not {n // 3 for n in apart} & {n // 3 for n in trained}


def test_a_method_without_a_recipe_keeps_the_studys() -> None:
    """Of equal trials the first counts, which is the default."""
    best, *_ = choose(_Constant(), training_cases(_federation()))
    training = Training()
    assert (best.learning_rate, best.epochs) == (training.learning_rate, training.epochs)
    assert best.weight_decay == training.weight_decay


class _Constant:
    """As a closed form, which nothing trains."""

    name = "constant"

    def train(self, _federation, _progress):
        return _Guess(1)
