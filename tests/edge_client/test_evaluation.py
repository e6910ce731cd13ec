"""Promises of the evaluation histograms: whom they count, and what each scenario shows."""

import numpy as np
import torch

from fedfin.plan import Plan
from fedfin.plan_sections import Modality
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.evaluate import evaluate

NAN = float("nan")


class FirstFeatures:
    """A model whose logits are the sum of the first feature of everything shown, for both labels."""

    enough = None  # nobody counted

    def __call__(self, features, present):
        """Logits [n, 2] and nothing imputed."""
        total = sum(torch.where(present[m], values[:, 0], 0.0) for m, values in features.items())
        return torch.stack([total, -total], dim=1), {}


PLAN = Plan(
    federation="test",
    labels=("a", "b"),
    modalities=tuple(Modality(name=m, encoder="0" * 64, dim=1) for m in ("image", "text")),
)


def dataset():
    """Complete, image-only, complete but trained on, text-only."""
    features = {"image": [[1.0], [2.0], [5.0], [0.0]], "text": [[0.5], [0.0], [5.0], [-100.0]]}
    present = {"image": [True, True, True, False], "text": [True, False, True, True]}
    labels = [[1.0, 0.0], [0.0, NAN], [1.0, 1.0], [NAN, 1.0]]
    return Dataset(
        {m: np.array(v, np.float32) for m, v in features.items()},
        {m: np.array(v) for m, v in present.items()},
        np.array(labels, np.float32),
        np.array([True, True, False, True]),
    )


def occupied(histogram):
    """(label, truth, bin) -> share, of the bins that are not empty."""
    return {tuple(map(int, at)): float(histogram[tuple(at)]) for at in np.argwhere(histogram)}


def place(logit):
    """The bin of a logit."""
    return int((logit + 8) * 16)


def test_scenarios_count_held_out_cases_and_show_what_they_say():
    """Unknown labels are in no bin, but their cases are in the weight; far logits go to the outer bins."""
    tensors, weights = evaluate(FirstFeatures(), PLAN, dataset())
    assert weights == {"eval.all": 1, "eval.only-image": 2, "eval.only-text": 2, "eval.as-is": 3}
    assert occupied(tensors["eval.all"]) == {(0, 1, place(1.5)): 1.0, (1, 0, place(-1.5)): 1.0}
    assert occupied(tensors["eval.only-image"]) == {
        (0, 1, place(1)): 0.5, (0, 0, place(2)): 0.5, (1, 0, place(-1)): 0.5,
    }  # fmt: skip
    assert occupied(tensors["eval.only-text"]) == {
        (0, 1, place(0.5)): 0.5, (1, 0, place(-0.5)): 0.5, (1, 1, 255): 0.5,
    }  # fmt: skip
    assert sum(occupied(tensors["eval.as-is"]).values()) * 3 == np.float32(4)


def test_scenarios_without_cases_are_not_sent():
    """An image-only site says nothing of complete cases."""
    whole = dataset()
    rows = slice(1, 2)
    features = {m: v[rows] for m, v in whole.features.items()}
    present = {m: v[rows] for m, v in whole.present.items()}
    alone = Dataset(features, present, whole.labels[rows], whole.held_out[rows])
    assert evaluate(FirstFeatures(), PLAN, alone)[1] == {"eval.only-image": 1, "eval.as-is": 1}
