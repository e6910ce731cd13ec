"""What shows one patient whatever their number: a difference of two answers, and groups of one.

The patient is at the first of three sites. The others are ordinary ones: they have incomplete cases, both values of
each label, and cases that are held out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.levels import LEAST_SITES, Level
from benchmarks.leakage.listener import Seen, make_plan, send
from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, HISTOGRAM_BINS, Task
from fedfin.model.second_moment_spec import label_moment_name, second_moment_name, unpack
from fedfin.protocol.schedule import last_round, task_of
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.calibrate import case_scores
from fedfin_edge.tasks.evaluate import answer, score_bins

DIMS = {"image": 12, "text": 8}
PLAN = make_plan(DIMS, 1)
MODEL = initial_model(PLAN)  # it knows no moments yet: standardised features are as they were
PATIENTS = 72
ONE = 0  # the row of the patient that the attacks are after
_CLOSE = 1e-2

Sites = Sequence[Dataset]


@dataclass(frozen=True)
class Recovered:
    """Whether an attack got what it was after, exactly but for rounding."""

    attack: str
    level: str
    recovered: bool


def run(level: Level) -> list[Recovered]:
    """Every attack on what is seen at this level, of as few sites as it allows."""

    def see(task: Task, first: Dataset) -> Seen:
        sites = [first, *_others()][: level.sums[0]]
        held = [replace(site, least_patients=level.least_patients) for site in sites]
        return level.sees([_sent(task, site) for site in held])

    return [Recovered(name, level.name, attack(see)) for name, attack in ATTACKS.items()]


See = Callable[[Task, Dataset], Seen]  # what is seen of a task when this is the first site's data set


def one_patient_more(see: See) -> bool:
    """Two submissions of moments: the sum of the second less that of the first is the new patient's record."""
    dataset, name = _site(), "norm.image.mean"
    less, more = see("moments", _rows(dataset, np.arange(len(dataset)) != ONE)), see("moments", dataset)
    if name not in less.values or name not in more.values:
        return False
    difference = more.values[name] * more.weights[name] - less.values[name] * less.weights[name]
    return _is_record(difference, dataset)


def one_incomplete_case(see: See) -> bool:
    """One patient without a text: the second moments of incomplete cases are that patient's products."""
    dataset = _site()
    dataset = replace(dataset, present=dataset.present | {"text": ~_only(dataset)})
    seen, name = see("second_moments", dataset), second_moment_name("partial", "image", "image")
    return name in seen.values and _is_record(unpack(seen.values[name])[0, 1:], dataset)


def one_positive(see: See) -> bool:
    """One patient has a finding: the products of that label with features are that patient's."""
    dataset = _site()
    labels = dataset.labels.copy()
    labels[:, 0] = _only(dataset)
    seen, name = (
        see("second_moments", replace(dataset, labels=labels)),
        label_moment_name("complete", "image"),
    )
    if name not in seen.values:
        return False
    return _is_record(seen.values[name][0, 1, 1:] * seen.weights[name], dataset)


def histogram_of_one(see: See) -> bool:
    """One patient held out: the evaluation's histogram tells labels and scores."""
    dataset = _site()
    dataset = replace(dataset, held_out=_only(dataset))
    seen = see("evaluate", dataset)
    if "eval.all" not in seen.values:
        return False
    filled = np.argwhere(seen.values["eval.all"] > 0).tolist()
    scores = answer(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]), dataset.present)[0]
    truth = [int(dataset.labels[ONE, label]) for label, *_ in filled]
    return len(filled) == len(scores) and [row[1] for row in filled] == truth


def calibration_of_one(see: See) -> bool:
    """One patient held out from the head: the sums of logits are that patient's, by true label."""
    dataset = _site()
    seen = see("calibrate", replace(dataset, validation=_only(dataset)))
    if CALIBRATION not in seen.values:
        return False
    shares = seen.values[CALIBRATION][-1, :, :, 0]
    return bool((shares.argmax(axis=1) == dataset.labels[ONE]).all() and (shares.sum(axis=1) == 1).all())


def positive_in_histogram(see: See) -> bool:
    """One of the patients held out has a finding: the label's histogram has that patient's score."""
    dataset = _with_one_positive(held_out=True)
    seen = see("evaluate", dataset)
    counts = np.rint(seen.values["eval.all"][0, 1] * seen.weights["eval.all"])
    own = answer(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]), dataset.present)
    return bool(counts.sum() == counts[score_bins(own, HISTOGRAM_BINS)[0, 0]] == 1)


def positive_in_calibration(see: See) -> bool:
    """One of the patients that calibrate the head has a finding: the label's mean logit is that patient's."""
    dataset = _with_one_positive(held_out=False)
    seen = see("calibrate", dataset)
    share, logit, *_ = seen.values[CALIBRATION][-1, 0, 1]
    own = case_scores(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]))[0, -1, 0, 1, 1]
    return bool(share > 0 and abs(logit / share - own) < _CLOSE * abs(own))


ATTACKS: dict[str, Callable[[See], bool]] = {
    "one patient added between two submissions": one_patient_more,
    "the one incomplete case": one_incomplete_case,
    "the single positive of a label": one_positive,
    "a histogram of one case": histogram_of_one,
    "calibration of one case": calibration_of_one,
    "the single positive in a histogram": positive_in_histogram,
    "the single positive in the calibration": positive_in_calibration,
}


def _site(number: int = 0) -> Dataset:
    """Whose patients all have everything."""
    rng = np.random.default_rng([number, 3])
    features = {m: rng.normal(size=(PATIENTS, dim)).astype(np.float32) for m, dim in DIMS.items()}
    labels = rng.integers(0, 2, (PATIENTS, len(PLAN.labels))).astype(np.float32)
    everyone = np.ones(PATIENTS, np.bool_)
    return Dataset(features, dict.fromkeys(DIMS, everyone), labels, ~everyone)


def _with_one_positive(*, held_out: bool) -> Dataset:
    """Of a third of the patients, who are held out of all, or of the head's training."""
    dataset = _site()
    labels, third = dataset.labels.copy(), np.arange(PATIENTS) % 3 == ONE
    labels[third, 0] = _only(dataset)[third]
    if held_out:
        return replace(dataset, labels=labels, held_out=third)
    return replace(dataset, labels=labels, validation=third)


def _others() -> list[Dataset]:
    """Of each five patients one has no text, one is held out of all, and one of the head's training."""
    turn = np.arange(PATIENTS) % 5
    sites = [_site(number) for number in range(1, LEAST_SITES)]
    return [
        replace(site, present=site.present | {"text": turn != 0}, held_out=turn == 1, validation=turn == 2)
        for site in sites
    ]


def _sent(task: Task, dataset: Dataset) -> Seen:
    number = next(n for n in range(1, last_round(PLAN) + 1) if task_of(PLAN, n) == task)
    return send(PLAN, task, number, MODEL, dataset)


def _rows(dataset: Dataset, kept: NDArray[np.bool_]) -> Dataset:
    return replace(
        dataset,
        features={m: values[kept] for m, values in dataset.features.items()},
        present={m: there[kept] for m, there in dataset.present.items()},
        labels=dataset.labels[kept],
        held_out=dataset.held_out[kept],
    )


def _only(dataset: Dataset) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(dataset)) == ONE)


def _is_record(found: NDArray[np.float64], dataset: Dataset) -> bool:
    truth = dataset.features["image"][ONE]
    return bool(np.linalg.norm(found - truth) < _CLOSE * np.linalg.norm(truth))
