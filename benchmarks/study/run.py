"""One job from its data to its row."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import numpy as np

from benchmarks.rows import Row
from benchmarks.study.deal import deal
from benchmarks.study.federation import Federation
from benchmarks.study.jobs import Job
from benchmarks.study.measure import Figures, auc_figures, calibration_error, imputation_figures
from benchmarks.study.method import ByModality, Progress, SeparateModels, Trained
from benchmarks.study.patterns import View, views
from benchmarks.study.roles import SELF_TUNED
from benchmarks.study.settings import Data
from benchmarks.study.sources import Pool, Step, load_pool
from benchmarks.study.tuning import Trial, apply, choose, training_cases
from fedfin.files import make_folder, write_atomically
from fedfin_edge.cases.dataset import Dataset

FIRST = 0  # the seed that recipes are chosen on
_DIGITS = 4
_pools: dict[bytes, Pool] = {}  # each process loads a data set once


def pool_of(data: Data, cache: Path, step: Step = lambda _done, _total: None) -> Pool:
    """The data set, kept in memory."""
    key = msgspec.json.encode((data, str(cache)), order="sorted")
    if key not in _pools:
        _pools[key] = load_pool(data, cache, step)
    return _pools[key]


def run(job: Job, cache: Path, progress: Progress = lambda _share: None) -> Row:
    """Deal, train, judge. Raises whatever the method does."""
    federation, trials = prepare(job, cache)
    started = time.process_time()
    trained = job.method.train(federation, progress)
    trained_s = time.process_time() - started
    judged = {
        name: _judge(trained, federation, shown) for name, shown in views(federation.judge, job.seed).items()
    }
    costs = trained.costs
    return identity(job) | {
        "labels": list(federation.plan.labels),
        "modalities": federation.plan.dims,
        "sites": {name: len(dataset) for name, dataset in federation.sites.items()},
        "judge": len(federation.judge),
        "complete": sum(complete_cases(dataset) for dataset in federation.sites.values()),
        "views": judged,
        "up": round(costs.up),
        "down": round(costs.down),
        "multiply_adds": round(costs.multiply_adds),
        "cpu_s": round(trained_s, 2),
        **({"choice": asdict(trials[0]), "trials": len(trials)} if trials else {}),
    }


def prepare(job: Job, cache: Path) -> tuple[Federation, list[Trial]]:
    """What the job trains on, by the recipe that it trains with; and the trials that chose it, if any did."""
    federation = deal(pool_of(job.data, cache), job.setting, job.seed, job.recipe)
    if not job.best or job.method.name in SELF_TUNED:
        return federation, []
    trials = choices(job, cache)
    training = apply(trials[0], federation.plan.training)
    return replace(federation, plan=msgspec.structs.replace(federation.plan, training=training)), trials


def choices(job: Job, cache: Path) -> list[Trial]:
    """The method's trials where it is tuned, of seed FIRST, the best first; kept in the cache for all seeds."""
    first = replace(job, seed=FIRST, setting=job.tuned_in or job.setting, tuned_in=None)
    path = cache / "choices" / f"{first.key.rpartition('/')[2]}.json"
    if not path.exists():
        make_folder(path.parent)
        federation = deal(pool_of(job.data, cache), first.setting, FIRST, job.recipe)
        found = choose(job.method, training_cases(federation))
        write_atomically(path, msgspec.json.encode([asdict(trial) for trial in found]))
    return msgspec.json.decode(path.read_bytes(), type=list[Trial])


def identity(job: Job) -> Row:
    """What a row says of its job."""
    return {
        "key": job.key,
        "data": job.data_name,
        "setting": job.setting_name,
        "method": job.method.name,
        "seed": job.seed,
        "rounds": job.recipe.rounds,
        **({"best": True} if job.best else {}),
    }


def _judge(trained: Trained, federation: Federation, shown: View) -> dict[str, Any]:
    """Answers and estimates on the judge's cases, of which the method sees what is shown."""
    if isinstance(trained, SeparateModels):
        return mean_figures([_judge(part, federation, shown) for part in trained.parts])
    judges = np.logical_or.reduce(list(shown.values()))  # of the others nothing is shown
    shown = {m: mask[judges] for m, mask in shown.items()}
    features = {m: values[judges] for m, values in federation.judge.features.items()}
    labels = federation.judge.labels[judges]
    visible = {m: values * shown[m][:, None] for m, values in features.items()}
    probability = trained.answer(visible, shown) if judges.any() else np.empty_like(labels)
    if np.isnan(probability).any() or not judges.any():  # it has no answer for some of these cases
        return {"auc": None, "per_label": [None] * labels.shape[1], "ece": None}
    auc, per_label = auc_figures(probability, labels)
    return {
        "auc": _rounded(auc),
        "per_label": [_rounded(value) for value in per_label],
        "ece": _rounded(calibration_error(probability, labels)),
        **{
            name: _rounded(value)
            for name, value in _imputed(trained, federation.judge, visible, shown).items()
        },
    }


def _imputed(trained: Trained, judge: Dataset, visible: ByModality, shown: View) -> Figures:
    """Of complete cases: what was not recorded has no truth."""
    if complete_cases(judge) < len(judge):
        return {}
    return imputation_figures(trained.impute(visible, shown), judge.features, shown)


def complete_cases(dataset: Dataset) -> int:
    """How many have every modality."""
    return int(np.logical_and.reduce(list(dataset.present.values())).sum())


def mean_figures(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figure by figure the mean of the parts that have it."""
    found: dict[str, Any] = {}
    for name in parts[0]:
        values = [part.get(name) for part in parts]
        if isinstance(parts[0][name], list):
            found[name] = [_mean(column) for column in zip(*values, strict=True)]
        else:
            found[name] = _mean(values)
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(fmean(known)) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
