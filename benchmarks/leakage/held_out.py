"""Membership among patients who are held out of training: from calibration sums, and from histograms of scores.

A patient adds one row of numbers to a calibration sum, and one count to a histogram of each label. Nobody but the tenth
of the patients that is kept for it is in the first, and nobody but those who judge the model in the second.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage.listener import Seen
from benchmarks.leakage.people import Floats, People
from benchmarks.leakage.spectrum import whitener
from fedfin.codec import Tensors
from fedfin.fusion.model import load_model
from fedfin.model.model_spec import CALIBRATION
from fedfin.plan import Plan
from fedfin_edge.tasks.calibrate import case_scores
from fedfin_edge.tasks.evaluate import answer, score_bins

SCENARIO = "eval."  # begins the names of histograms
_SPREAD = 5  # bins to either side over which the population's histogram is smoothed
_TINY = 1e-4  # of the cases, beside a bin's: an empty one tells nobody for certain where it is read by chance


def calibration(
    plan: Plan, model: Tensors, seen: Seen, candidates: People, reference: People
) -> tuple[list[Floats], list[Floats]]:
    """Scores [n] of the weak one's tests, and of the strong one's: a likelihood ratio, as with first moments."""
    rows, usual = _added(plan, model, candidates), _added(plan, model, reference)
    varies = usual.std(axis=0) > 0
    scale = usual[:, varies].std(axis=0)
    rows, usual, sums = (values[..., varies] / scale for values in (rows, usual, _sums(seen)))
    whiten = whitener(usual)
    return [-np.square(rows - sums).sum(axis=1)], [whiten(rows) @ whiten(sums[None])[0]]


def evaluation(
    plan: Plan, model: Tensors, seen: Seen, candidates: People, reference: People
) -> tuple[list[Floats], list[Floats]]:
    """As `calibration`: how many are in a candidate's own bins, and how many more than is usual."""
    found = next(values for name, values in seen.values.items() if name.startswith(SCENARIO))
    bins = found.shape[-1]
    usual = _histogram(_bins(plan, model, reference, bins), reference, bins)
    own = _bins(plan, model, candidates, bins)
    there, expected = (_logs_of_own(values, own, candidates) for values in (found, usual))
    return [there], [there - expected]


def _sums(seen: Seen) -> Floats:
    return seen.values[CALIBRATION].reshape(-1)


def _added(plan: Plan, model: Tensors, people: People) -> Floats:
    """What each adds to a calibration sum, [n, sums]."""
    added = case_scores(load_model(plan, model), plan, people.dataset(), np.arange(len(people)))
    return added.reshape(len(people), -1)


def _bins(plan: Plan, model: Tensors, people: People, bins: int) -> NDArray[np.int64]:
    """In which bin each is, [n, labels]."""
    dataset = people.dataset()
    logits = answer(load_model(plan, model), plan, dataset, np.arange(len(people)), dataset.present)
    return score_bins(logits, bins)


def _histogram(places: NDArray[np.int64], people: People, bins: int) -> Floats:
    """Smoothed shares of the population, [labels, 2, bins]."""
    counts = np.zeros((places.shape[1], 2, bins))
    for label, column in enumerate(places.T):
        np.add.at(counts[label], (people.labels[:, label].astype(np.int64), column), 1.0 / len(people))
    kernel = np.ones(2 * _SPREAD + 1) / (2 * _SPREAD + 1)
    smooth: Floats = np.apply_along_axis(np.convolve, -1, counts, kernel, mode="same")
    return smooth


def _logs_of_own(histogram: Floats, places: NDArray[np.int64], people: People) -> Floats:
    """Logarithms of the shares in each one's bins, summed over the labels, [n]."""
    labels = np.arange(places.shape[1])
    own = histogram[labels, people.labels.astype(np.int64), places]
    total: Floats = np.log(own + _TINY).sum(axis=1)
    return total
