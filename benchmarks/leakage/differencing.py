"""What shows one patient whatever their number: a difference of two answers, and groups of one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.listener import Seen, make_plan, send
from fedfin.codec import Tensors
from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, Task
from fedfin.model.second_moment_spec import label_moment_name, second_moment_name, unpack
from fedfin.protocol.schedule import last_round, task_of
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.evaluate import answer

DIMS = {"image": 12, "text": 8}
PLAN = make_plan(DIMS, 1)
ONE = 0  # the row of the patient that the attacks are after
_CLOSE = 1e-2


@dataclass(frozen=True)
class Recovered:
    """Whether an attack got what it was after, exactly but for rounding."""

    attack: str
    patients: int
    recovered: bool


def run(patients: int, seed: int) -> list[Recovered]:
    """Every attack on a site of so many patients."""
    dataset = _site(patients, seed)
    return [Recovered(name, patients, attack(dataset)) for name, attack in ATTACKS.items()]


def one_patient_more(dataset: Dataset) -> bool:
    """Two submissions of moments: n + 1 times the second mean, less n times the first, is the new patient's."""
    name, truth = "norm.image.mean", dataset.features["image"][ONE]
    less, more = _sent("moments", _without(dataset)), _sent("moments", dataset)
    if name not in less.values or name not in more.values:
        return False
    difference = more.values[name] * more.weights[name] - less.values[name] * less.weights[name]
    return _same(difference, truth)


def one_incomplete_case(dataset: Dataset) -> bool:
    """One patient without a text: the second moments of incomplete cases are that patient's products."""
    there = dataset.present["text"].copy()
    there[ONE] = False
    sent = _sent("second_moments", replace(dataset, present=dataset.present | {"text": there}))
    name = second_moment_name("partial", "image", "image")
    return name in sent.values and _same(unpack(sent.values[name])[0, 1:], _standard(dataset, "image"))


def one_positive(dataset: Dataset) -> bool:
    """One patient has a finding: the products of that label with features are that patient's."""
    name = label_moment_name("complete", "image")
    sent = _sent("second_moments", replace(dataset, labels=_one_positive(dataset)))
    if name not in sent.values:
        return False
    positive = sent.values[name][0, 1] * sent.weights[name]
    return _same(positive[1:], _standard(dataset, "image"))


def histogram_of_one(dataset: Dataset) -> bool:
    """One patient held out: the evaluation's histogram tells the labels and scores."""
    sent = _sent("evaluate", replace(dataset, held_out=_only_one(dataset)))
    if "eval.all" not in sent.values:
        return False
    filled = np.argwhere(sent.values["eval.all"] > 0)
    scores = answer(load_model(PLAN, _model()), PLAN, dataset, np.array([ONE]), dataset.present)[0]
    truth = [dataset.labels[ONE, label] for label, *_ in filled]
    return len(filled) == len(scores) and [row[1] for row in filled.tolist()] == truth


def calibration_of_one(dataset: Dataset) -> bool:
    """One patient held out from the head: the sums of logits are that patient's, by true label."""
    sent = _sent("calibrate", replace(dataset, validation=_only_one(dataset)))
    if CALIBRATION not in sent.values:
        return False
    shares = sent.values[CALIBRATION][-1, :, :, 0]
    return bool((shares.argmax(axis=1) == dataset.labels[ONE]).all() and (shares.sum(axis=1) == 1).all())


ATTACKS: dict[str, Callable[[Dataset], bool]] = {
    "one patient added between two submissions": one_patient_more,
    "the one incomplete case": one_incomplete_case,
    "the single positive of a label": one_positive,
    "a histogram of one case": histogram_of_one,
    "calibration of one case": calibration_of_one,
}


def _site(patients: int, seed: int) -> Dataset:
    rng = np.random.default_rng([seed, 3])
    features = {m: rng.normal(size=(patients, dim)).astype(np.float32) for m, dim in DIMS.items()}
    labels = rng.integers(0, 2, (patients, len(PLAN.labels))).astype(np.float32)
    everyone = np.ones(patients, np.bool_)
    return Dataset(features, dict.fromkeys(DIMS, everyone), labels, ~everyone)


def _sent(task: Task, dataset: Dataset) -> Seen:
    number = next(n for n in range(1, last_round(PLAN) + 1) if task_of(PLAN, n) == task)
    return send(PLAN, task, number, _model(), dataset)


def _model() -> Tensors:
    return initial_model(PLAN)


def _without(dataset: Dataset) -> Dataset:
    kept = np.arange(len(dataset)) != ONE
    return replace(
        dataset,
        features={m: values[kept] for m, values in dataset.features.items()},
        present={m: there[kept] for m, there in dataset.present.items()},
        labels=dataset.labels[kept],
        held_out=dataset.held_out[kept],
    )


def _one_positive(dataset: Dataset) -> NDArray[np.float32]:
    labels: NDArray[np.float32] = dataset.labels.copy()
    labels[:, 0] = np.arange(len(dataset)) == ONE
    return labels


def _only_one(dataset: Dataset) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = np.arange(len(dataset)) == ONE
    return chosen


def _standard(dataset: Dataset, modality: str) -> NDArray[np.float32]:
    """Of the initial model, which knows no moments yet: as the features are."""
    return dataset.features[modality][ONE]


def _same(found: NDArray[np.float64], truth: NDArray[np.float32]) -> bool:
    return bool(np.linalg.norm(found - truth) < _CLOSE * np.linalg.norm(truth))
