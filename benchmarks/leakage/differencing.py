"""What shows one patient whatever their number: a difference of two answers, and groups of one.

The patient is at the first of three sites. The others are ordinary ones: they have incomplete cases, both values of
each label, and cases that are held out; or there are none such but at the first site.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.levels import LEAST_SITES, Level
from benchmarks.leakage.listener import Seen, in_sums, make_plan, send
from fedfin.codec import Tensors
from fedfin.errors import StateError
from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CALIBRATION, Task
from fedfin.model.second_moment_spec import OTHER_HALF, label_moment_name, second_moment_name, unpack
from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round, task_of
from fedfin_aggregator.fold.fold import Fold
from fedfin_aggregator.rounds.close import fold_update
from fedfin_aggregator.rounds.enough_answers import enough_answers
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.patient_digests import KEY_BYTES, patient_digests, too_few_changed
from fedfin_edge.tasks.calibrate import case_scores
from fedfin_edge.tasks.evaluate import answer, score_bins

DIMS = {"image": 12, "text": 8}
PLAN = make_plan(DIMS, 1)
MODEL = initial_model(PLAN)  # it knows no moments yet: standardised features are as they were
PATIENTS = 72
ONE = 0  # the row of the patient that the attacks are after
_TEN = np.isin(np.arange(PATIENTS), [ONE, *range(1, 19, 2)])  # ONE is in the first half of the patients alone
_NAME = second_moment_name("complete", "image", "image")
_CLOSE = 1e-2

Sites = Sequence[Dataset]


@dataclass(frozen=True)
class Recovered:
    """Whether an attack got what it was after, exactly but for rounding; refused: the site took no part in it."""

    attack: str
    level: str
    recovered: bool
    refused: bool = False


@dataclass(frozen=True)
class Watch:
    """What is seen at a level, of the first site beside these others: of as few sites as the level allows."""

    level: Level
    others: Sites

    def see(self, task: Task, first: Dataset) -> Seen:
        """Of a task when this is the first site's data set."""
        count = self.level.sums[0]
        plan = self.level.counting(in_sums(PLAN, count)) if count > 1 else PLAN
        least, rare = self.level.least_patients, self.level.rare_answers
        sites = [
            replace(one, least_patients=least, rare_answers=rare) for one in [first, *self.others][:count]
        ]
        model = _counted(plan, sites)
        return self.level.sees([_sent(plan, task, site, model) for site in sites])

    def check_changed(self, former: Dataset, now: Dataset) -> None:
        """As a site's agent does before a sum (agent/joining.py). Raises StateError."""
        before, after = (patient_digests(one, bytes(KEY_BYTES)) for one in (former, now))
        if self.level.sums[0] > 1 and too_few_changed(after, before, self.level.least_patients):
            raise StateError("too few patients have changed")


def run(level: Level) -> list[Recovered]:
    """Every attack on what is seen at this level."""
    return [
        _attacked(name, attack, Watch(level, others))
        for attacks, others in ((ATTACKS, _others()), (ALONE, _unlike()))
        for name, attack in attacks.items()
    ]


def _attacked(name: str, attack: Callable[[Watch], bool], watch: Watch) -> Recovered:
    try:
        return Recovered(name, watch.level.name, attack(watch))
    except StateError:
        return Recovered(name, watch.level.name, recovered=False, refused=True)


def one_patient_more(watch: Watch) -> bool:
    """Two submissions of moments: the sum of the second less that of the first is the new patient's record."""
    dataset, name = _site(), "norm.image.mean"
    former = _rows(dataset, np.arange(len(dataset)) != ONE)
    watch.check_changed(former, dataset)
    less, more = watch.see("moments", former), watch.see("moments", dataset)
    if name not in less.values or name not in more.values:
        return False
    difference = more.values[name] * more.weights[name] - less.values[name] * less.weights[name]
    return _is_record(difference, dataset)


def one_incomplete_case(watch: Watch) -> bool:
    """One patient without a text: the second moments of incomplete cases are that patient's products."""
    return _shows_an_incomplete(watch, _only(_site()))


def one_incomplete_in_a_half(watch: Watch) -> bool:
    """Ten without a text, one of them in the first half: the moments of that half's incomplete cases."""
    return _shows_an_incomplete(watch, _TEN)


def _shows_an_incomplete(watch: Watch, without_text: NDArray[np.bool_]) -> bool:
    dataset = _without_text(without_text)
    seen, name = watch.see("second_moments", dataset), second_moment_name("partial", "image", "image")
    found = (
        unpack(seen.values[half + name])[0, 1:] for half in ("", OTHER_HALF) if half + name in seen.values
    )
    return any(_is_record(means, dataset) for means in found)


def incomplete_by_subtraction(watch: Watch) -> bool:
    """One patient without a text: the sum of all images less that of complete cases' is that patient's image."""
    dataset, mean = _without_text(_only(_site())), "norm.image.mean"
    every, complete = watch.see("moments", dataset), watch.see("second_moments", dataset)
    left = every.values[mean] * every.weights[mean]
    for name in {_NAME, OTHER_HALF + _NAME} & complete.values.keys():
        left = left - unpack(complete.values[name])[0, 1:] * complete.weights[name]
    return _is_record(left, dataset)


def one_positive(watch: Watch) -> bool:
    """One patient has a finding: the products of that label with features are that patient's."""
    return _shows_a_positive(watch, _only(_site()))


def one_positive_in_a_half(watch: Watch) -> bool:
    """Ten have a finding, one of them in the first half: the products of that half."""
    return _shows_a_positive(watch, _TEN)


def _shows_a_positive(watch: Watch, positive: NDArray[np.bool_]) -> bool:
    dataset = _site()
    labels = dataset.labels.copy()
    labels[:, 0] = positive
    seen = watch.see("second_moments", replace(dataset, labels=labels))
    name = label_moment_name("complete", "image")
    names = {name, OTHER_HALF + name} & seen.values.keys()
    return any(_is_record(seen.values[name][0, 1, 1:] * seen.weights[name], dataset) for name in names)


def one_unknown(watch: Watch) -> bool:
    """Of one patient nobody knows a label: the features of all less those of whom it is known of are that patient's."""
    dataset, name = _site(), label_moment_name("complete", "image")
    left = np.zeros(DIMS["image"])
    labels = dataset.labels.copy()
    labels[ONE, 0] = np.nan
    seen = watch.see("second_moments", replace(dataset, labels=labels))
    for half in ("", OTHER_HALF):
        if half + name not in seen.values:
            return False
        known = seen.values[half + name][0, 0, 1:] * seen.weights[half + name]
        left += unpack(seen.values[half + _NAME])[0, 1:] * seen.weights[half + _NAME] - known
    return _is_record(left, dataset)


def histogram_of_one(watch: Watch) -> bool:
    """One patient held out: the evaluation's histogram tells labels and scores."""
    dataset = _site()
    dataset = replace(dataset, held_out=_only(dataset))
    seen = watch.see("evaluate", dataset)
    if "eval.all" not in seen.values:
        return False
    filled = np.argwhere(seen.values["eval.all"] > 0).tolist()
    scores = answer(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]), dataset.present)[0]
    truth = [int(dataset.labels[ONE, label]) for label, *_ in filled]
    return len(filled) == len(scores) and [row[1] for row in filled] == truth


def calibration_of_one(watch: Watch) -> bool:
    """One patient held out from the head: the sums of logits are that patient's, by true label."""
    dataset = _site()
    seen = watch.see("calibrate", replace(dataset, validation=_only(dataset)))
    if CALIBRATION not in seen.values:
        return False
    shares = seen.values[CALIBRATION][-1, :, :, 0]
    return bool((shares.argmax(axis=1) == dataset.labels[ONE]).all() and (shares.sum(axis=1) == 1).all())


def positive_in_histogram(watch: Watch) -> bool:
    """One of the patients held out has a finding: the label's histogram has that patient's score."""
    dataset = _with_one_positive(held_out=True)
    seen = watch.see("evaluate", dataset)
    counts = np.rint(seen.values["eval.all"][0, 1] * seen.weights["eval.all"])
    own = answer(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]), dataset.present)
    return bool(counts.sum() == counts[score_bins(own, len(counts))[0, 0]] == 1)


def positive_in_calibration(watch: Watch) -> bool:
    """One of the patients that calibrate the head has a finding: the label's mean logit is that patient's."""
    dataset = _with_one_positive(held_out=False)
    seen = watch.see("calibrate", dataset)
    share, logit, *_ = seen.values[CALIBRATION][-1, 0, 1]
    own = case_scores(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]))[0, -1, 0, 1, 1]
    return bool(share > 0 and abs(logit / share - own) < _CLOSE * abs(own))


def incomplete_by_difference(watch: Watch) -> bool:
    """One of those held out has no text: the histogram of all cases less that of complete ones has that one's score."""
    dataset = _with_one_incomplete_held_out()
    seen = watch.see("evaluate", dataset)
    every, complete = (np.rint(seen.values[n] * seen.weights[n]) for n in ("eval.as-is", "eval.all"))
    shown = answer(load_model(PLAN, MODEL), PLAN, dataset, np.array([ONE]), dataset.present)
    left = (every - complete).sum(axis=1)
    bins = score_bins(shown, left.shape[-1])[0]
    return any(of.sum() == of[place] == 1 for of, place in zip(left, bins, strict=True))


def labels_by_numbers(watch: Watch) -> bool:
    """Only he has no text: his labels, by how many cases of each answer two histograms have, whatever the scores."""
    dataset = _with_one_incomplete_held_out()
    seen = watch.see("evaluate", dataset)
    image, complete = (
        np.rint(seen.values[n].sum(axis=-1) * seen.weights[n]) for n in ("eval.only-image", "eval.all")
    )
    left = image - complete
    return bool((left.sum(axis=-1) == 1).all() and (left[:, 1] == dataset.labels[ONE]).all())


ATTACKS: dict[str, Callable[[Watch], bool]] = {
    "one patient added between two submissions": one_patient_more,
    "the one incomplete case": one_incomplete_case,
    "the single positive of a label": one_positive,
    "a histogram of one case": histogram_of_one,
    "calibration of one case": calibration_of_one,
    "the single positive in a histogram": positive_in_histogram,
    "the single positive in the calibration": positive_in_calibration,
}
ALONE: dict[str, Callable[[Watch], bool]] = {  # only this site has such cases
    "the one incomplete case of all sites": one_incomplete_case,
    "the same, by subtraction from moments": incomplete_by_subtraction,
    "ten incomplete cases of one site, one of them in its half": one_incomplete_in_a_half,
    "the single positive of all sites": one_positive,
    "ten positives of one site, one of them in its half": one_positive_in_a_half,
    "the single patient of all sites of whom a label is unknown": one_unknown,
    "the single positive of all sites, in a histogram": positive_in_histogram,
    "the single positive of all sites, in the calibration": positive_in_calibration,
    "the one incomplete case of all sites, by a difference of histograms": incomplete_by_difference,
    "the labels of the one incomplete case of all sites, by numbers of cases": labels_by_numbers,
}


def _site(number: int = 0) -> Dataset:
    """Whose patients all have everything."""
    rng = np.random.default_rng([number, 3])
    features = {m: rng.normal(size=(PATIENTS, dim)).astype(np.float32) for m, dim in DIMS.items()}
    labels = rng.integers(0, 2, (PATIENTS, len(PLAN.labels))).astype(np.float32)
    everyone = np.ones(PATIENTS, np.bool_)
    half = np.arange(PATIENTS) % 2 == 1
    return Dataset(features, dict.fromkeys(DIMS, everyone), labels, ~everyone, second_half=half)


def _without_text(chosen: NDArray[np.bool_]) -> Dataset:
    dataset = _site()
    return replace(dataset, present=dataset.present | {"text": ~chosen})


def _with_one_incomplete_held_out() -> Dataset:
    """Of a third of the patients, who are held out."""
    dataset = _site()
    present = dataset.present | {"text": ~_only(dataset)}
    return replace(dataset, present=present, held_out=np.arange(PATIENTS) % 3 == ONE)


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


def _unlike() -> list[Dataset]:
    """The same, of whom everyone has a text and nobody the first finding."""
    no_finding = np.array([0, 1], np.float32)
    return [replace(one, present=_site().present, labels=one.labels * no_finding) for one in _others()]


def _sent(plan: Plan, task: Task, dataset: Dataset, model: Tensors) -> Seen:
    number = next(n for n in range(1, last_round(plan) + 1) if task_of(plan, n) == task)
    return send(plan, task, number, model, dataset)


def _counted(plan: Plan, sites: Sites) -> Tensors:
    """MODEL, with what an honest aggregator says after the first sum of which answers enough patients have."""
    fold = Fold()
    for site in sites:
        given = _sent(plan, "moments", site, initial_model(plan))
        values = {name: value.astype(np.float32) for name, value in given.values.items()}
        fold_update(fold, "moments", values, given.weights, "")
    flags = enough_answers(plan, fold.sums)
    return MODEL | {name: values.astype(np.float32) for name, values in flags.items()}


def _rows(dataset: Dataset, kept: NDArray[np.bool_]) -> Dataset:
    return replace(
        dataset,
        features={m: values[kept] for m, values in dataset.features.items()},
        present={m: there[kept] for m, there in dataset.present.items()},
        labels=dataset.labels[kept],
        held_out=dataset.held_out[kept],
        second_half=dataset.in_second_half[kept],
    )


def _only(dataset: Dataset) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(dataset)) == ONE)


def _is_record(found: NDArray[np.float64], dataset: Dataset) -> bool:
    truth = dataset.features["image"][ONE]
    return bool(np.linalg.norm(found - truth) < _CLOSE * np.linalg.norm(truth))
