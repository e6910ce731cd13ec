"""The blend trusts a score as far as it holds on cases that it was not learnt from, and means odds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_form_cases import answers, auc, draw, fusion_model, make_plan, solved

from fedfin.fusion.experts import Blend
from fedfin.model.model_spec import pattern_row
from fedfin_aggregator.closed_form.blend import _stack
from fedfin_edge.cases.dataset import Dataset

PLAN = make_plan()


def two_classes(plan, count, seed, *, rate=0.3, apart=0.6) -> Dataset:
    """Normal features of one covariance in both classes of the first label: its log-odds are linear in them."""
    rng = np.random.default_rng([seed, 3])
    labels = (rng.random((count, len(plan.labels))) < rate).astype(np.float32)
    features = {
        m: (apart * (labels[:, :1] - rate) + rng.normal(size=(count, dim))).astype(np.float32)
        for m, dim in plan.dims.items()
    }
    return Dataset(
        features, {m: np.ones(count, np.bool_) for m in plan.dims}, labels, np.zeros(count, np.bool_)
    )


def calibration_error(probability, labels) -> float:
    """Expected calibration error over ten equal parts."""
    parts = np.array_split(np.argsort(probability), 10)
    return float(np.mean([abs(probability[part].mean() - labels[part].mean()) for part in parts]))


@pytest.mark.parametrize("shown", [["image"], ["text"], ["image", "text"]])
def test_probabilities_come_true(shown) -> None:
    """Of cases with a probability p, about p have the label: to 0.03, for every pattern; p is near the true one."""
    sites = {f"s{i}": two_classes(PLAN, 200, i) for i in range(4)}
    new = two_classes(PLAN, 4000, 77)
    logits = answers(fusion_model(PLAN, solved(PLAN, sites)), new, shown)[0][:, 0]
    assert calibration_error(1 / (1 + np.exp(-logits)), new.labels[:, 0]) < 0.03
    x = np.concatenate([new.features[m] for m in shown], axis=1).astype(float)
    odds = np.log(0.3 / 0.7) + 0.6 * (x - 0.6 * (0.5 - 0.3)).sum(axis=1)
    assert np.abs(logits - odds).mean() < 0.35


def test_probabilities_of_complete_cases_come_true_where_no_site_has_any() -> None:
    """Images at some sites, texts at others: both are read as what each tells of the class, and no surer than that."""
    sites = {f"{m}{i}": only(two_classes(PLAN, 200, 10 * i + len(m)), m) for i in range(2) for m in PLAN.dims}
    new = two_classes(PLAN, 4000, 77)
    logits = answers(fusion_model(PLAN, solved(PLAN, sites)), new, None)[0][:, 0]
    assert calibration_error(1 / (1 + np.exp(-logits)), new.labels[:, 0]) < 0.05


def only(dataset: Dataset, modality: str) -> Dataset:
    """The same cases, of which the site has one modality."""
    return replace(dataset, present={m: mask & (m == modality) for m, mask in dataset.present.items()})


def test_a_score_that_is_noise_has_hardly_any_say() -> None:
    """A modality that tells nothing: it moves logits by less than a fifth of what the other does, and costs nothing."""
    plan = make_plan({"image": 6, "text": 40})
    sites = {f"s{i}": draw(plan, 80, i) for i in range(4)}
    new = draw(plan, 1000, 77)
    rng = np.random.default_rng(3)
    for dataset in (*sites.values(), new):
        dataset.features["text"][:] = rng.normal(size=dataset.features["text"].shape)
    model = fusion_model(plan, solved(plan, sites))
    both, image, text = (answers(model, new, shown)[0] for shown in (None, ["image"], ["text"]))
    assert (text.std(axis=0) < 0.2 * image.std(axis=0)).all()
    for label in range(2):
        assert auc(both[:, label], new.labels[:, label]) > auc(image[:, label], new.labels[:, label]) - 0.005


def test_no_weight_is_negative() -> None:
    """A score that helps only by being subtracted, or is against the label, is left out; the rest is as without it."""
    together = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    weights = _stack(together, np.array([0.5, 0.1, -0.2]))
    assert weights == pytest.approx([0.5, 0.0, 0.0], abs=1e-3)
    assert not _stack(together, -np.ones(3)).any()
    assert not _stack(np.zeros((3, 3)), np.ones(3)).any()


def test_more_modalities_never_answer_worse() -> None:
    """With all, the experts' AUC is at least that of the best alone, less what 400 cases leave to chance."""
    plan = make_plan({"a": 6, "b": 5, "c": 4})
    sites, new = {f"s{i}": draw(plan, 80, i, noise=1.0) for i in range(4)}, draw(plan, 400, 77, noise=1.0)
    model = fusion_model(plan, solved(plan, sites))
    score = {
        "".join(shown): np.mean(
            [auc(answers(model, new, shown)[0][:, i], new.labels[:, i]) for i in range(2)]
        )
        for shown in (["a"], ["b"], ["c"], ["a", "b", "c"])
    }
    assert score["abc"] > max(score["a"], score["b"], score["c"]) - 0.01


def test_rows_of_the_blend_are_those_that_the_model_reads() -> None:
    """For every combination of three modalities, in the plan's order."""
    blend = Blend(3, 1)
    blend.weight.zero_()
    blend.bias.copy_(torch.arange(8.0).unsqueeze(1))
    for number in range(8):
        mask = [bool(number >> place & 1) for place in range(3)]
        shown = {f"m{place}": torch.tensor([there]) for place, there in enumerate(mask)}
        assert blend(shown)[1].item() == pattern_row(mask) == number


def test_a_label_that_no_case_of_a_modality_knows_is_told_through_the_other() -> None:
    """Sites with both modalities never saw the label, others have the images alone: the text still tells of it."""
    sites = {f"b{i}": draw(PLAN, 120, i) for i in range(2)}
    for dataset in sites.values():
        dataset.labels[:, 0] = np.nan
    sites |= {f"i{i}": draw(PLAN, 120, 10 + i, has=["image"]) for i in range(3)}
    new = draw(PLAN, 1000, 77)
    text = answers(fusion_model(PLAN, solved(PLAN, sites)), new, ["text"])[0]
    assert auc(text[:, 0], new.labels[:, 0]) > 0.75


def test_a_label_that_no_case_of_a_modality_knows_gains_by_it_on_complete_cases() -> None:
    """What other labels gain by the text beside the image says what the text is worth for one that it never saw."""
    plan = make_plan(labels=4)
    sites = {f"b{i}": draw(plan, 120, i) for i in range(2)}
    for dataset in sites.values():
        dataset.labels[:, 0] = np.nan
    sites |= {f"i{i}": draw(plan, 120, 10 + i, has=["image"]) for i in range(3)}
    new = draw(plan, 2000, 77)
    model = fusion_model(plan, solved(plan, sites))
    both, image = (answers(model, new, shown)[0][:, 0] for shown in (None, ["image"]))
    assert auc(both, new.labels[:, 0]) > auc(image, new.labels[:, 0]) + 0.02
