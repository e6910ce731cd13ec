"""Each method at its best: learning rate, local epochs and weight decay, chosen on an inner split of training cases.

One procedure and as many trials for every method; how many rounds it trains, convergence says in each. `choose` is
given `TrainingCases`, which the judge's cases are not part of: it cannot read them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import fmean

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.study.datasets import joined, rows_of
from benchmarks.study.federation import Federation, Texts
from benchmarks.study.measure import auc_figures
from benchmarks.study.method import Method, SeparateModels, Trained
from fedfin.plan import Plan
from fedfin.plan_sections import Training
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.scenarios import scenarios

Mask = NDArray[np.bool_]

# First all of these together, then with the best of them the other weight decays: eight trials.
LEARNING_RATES, EPOCHS, WEIGHT_DECAYS = (2e-3, 5e-4, 8e-3), (0, 1), (1e-3, 1e-1)


@dataclass(frozen=True)
class TrainingCases:
    """What a federation trains on, and which of these cases the inner split keeps apart, by site bool [n]."""

    plan: Plan
    sites: Mapping[str, Dataset]
    recorded: Mapping[str, Dataset]
    public: Dataset
    texts: tuple[Texts, ...]
    inner: Mapping[str, Mask]


@dataclass(frozen=True)
class Trial:
    """One try and its score: macro AUC x 100 on the inner split's cases; None where the method has no answer."""

    learning_rate: float
    epochs: int
    weight_decay: float
    score: float | None = None


def training_cases(federation: Federation) -> TrainingCases:
    """All but the judge."""
    return TrainingCases(
        federation.plan,
        federation.sites,
        federation.recorded,
        federation.public,
        federation.texts,
        federation.inner,
    )


def choose(method: Method, cases: TrainingCases) -> list[Trial]:
    """All trials, the best first; of equals the one that was tried first, so the plan's own where none matters.

    Raises NotApplicableError as the method does.
    """
    federation = _inner(cases)
    decay = cases.plan.training.weight_decay
    first = [Trial(rate, epochs, decay) for rate in LEARNING_RATES for epochs in EPOCHS]
    tried = [_scored(method, federation, trial) for trial in first]
    best = max(tried, key=_rank)
    tried += [_scored(method, federation, replace(best, weight_decay=other)) for other in WEIGHT_DECAYS]
    return sorted(tried, key=_rank, reverse=True)


def apply(trial: Trial, training: Training) -> Training:
    """The recipe that was tried."""
    values = {key: value for key, value in asdict(trial).items() if key != "score"}
    return msgspec.structs.replace(training, **values)


def _rank(trial: Trial) -> float:
    return -1.0 if trial.score is None else trial.score


def _scored(method: Method, federation: Federation, trial: Trial) -> Trial:
    plan = msgspec.structs.replace(federation.plan, training=apply(trial, federation.plan.training))
    trained = method.train(replace(federation, plan=plan), lambda _share: None)
    return replace(trial, score=_score(trained, federation.judge))


def _inner(cases: TrainingCases) -> Federation:
    """The sites without the inner split's cases, which judge as their sites hold them."""
    kept = {name: ~mask for name, mask in cases.inner.items()}
    judge = [rows_of(cases.sites[name], mask) for name, mask in cases.inner.items()]
    return Federation(
        cases.plan,
        {name: rows_of(dataset, kept[name]) for name, dataset in cases.sites.items()},
        {name: rows_of(dataset, kept[name]) for name, dataset in cases.recorded.items()},
        cases.public,
        replace(joined(judge), held_out=np.ones(sum(map(len, judge)), np.bool_)),
        tuple(_shorter(texts, kept) for texts in cases.texts),
    )


def _score(trained: Trained, judge: Dataset) -> float | None:
    """The mean over complete cases and over each modality alone, of those that it answers."""
    if isinstance(trained, SeparateModels):
        parts = [score for part in trained.parts if (score := _score(part, judge)) is not None]
        return fmean(parts) if parts else None
    found = []
    for scenario in scenarios(judge.present):
        rows = scenario.cases
        if scenario.name == "as-is" or not rows.any():
            continue
        shown = {m: mask[rows] for m, mask in scenario.present.items()}
        features = {m: values[rows] * shown[m][:, None] for m, values in judge.features.items()}
        probability = trained.answer(features, shown)
        if not np.isnan(probability).any():
            found.append(auc_figures(probability, judge.labels[rows])[0])
    known = [auc for auc in found if auc is not None]
    return round(fmean(known), 4) if known else None


def _shorter(texts: Texts, kept: Mapping[str, Mask]) -> Texts:
    train = {
        site: [text for text, stays in zip(written, kept[site], strict=True) if stays]
        for site, written in texts.train.items()
    }
    return replace(texts, train=train)
