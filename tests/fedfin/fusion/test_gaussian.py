"""The closed-form FIN in torch: several sources are witnesses that see alike, and what is unknown is the mean."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from closed_form_cases import answers, draw, fusion_model, make_plan, solved

from fedfin.fusion.closed_form_fin import Gaussian
from fedfin_edge.cases.dataset import Dataset

DIMS = {"a": 5, "b": 4, "c": 3}


@pytest.fixture(scope="module")
def model():
    """Three modalities of common causes."""
    plan = make_plan(DIMS)
    return fusion_model(plan, solved(plan, {f"s{i}": draw(plan, 80, i) for i in range(4)}))


def test_two_witnesses_tell_more_than_either_and_say_so(model) -> None:
    """The error with both sources is below that with the better one, and so is the variance that is claimed left."""
    new = draw(make_plan(DIMS), 500, 77)
    error, claimed = {}, {}
    for shown in (["a"], ["b"], ["a", "b"]):
        _, mean, spread = answers(model, new, shown)
        error["".join(shown)] = float(np.square(mean["c"] - new.features["c"]).mean())
        claimed["".join(shown)] = float(spread["c"].mean())
    assert error["ab"] < min(error["a"], error["b"])
    assert claimed["ab"] < min(claimed["a"], claimed["b"])


def test_what_alike_witnesses_leave_is_claimed_no_more_than_half_too_small() -> None:
    """Five nearly equal views of one: of independent ones less than half of it would be left."""
    plan = make_plan(dict.fromkeys("abcdef", 4))
    sites, new = {f"s{i}": alike(draw(plan, 80, i)) for i in range(4)}, alike(draw(plan, 500, 77))
    _, mean, spread = answers(fusion_model(plan, solved(plan, sites)), new, list("abcde"))
    error = float(np.square(mean["f"] - new.features["f"]).mean())
    assert 0.8 < error / float(spread["f"].mean() * new.features["f"].var()) < 1.5


def alike(dataset: Dataset) -> Dataset:
    """The same cases, of which a to e tell the same but for a little noise."""
    noise = np.random.default_rng(0)
    views = {m: dataset.features["a"] + 0.1 * noise.normal(size=(len(dataset), 4)) for m in "abcde"}
    features = {m: views[m].astype(np.float32) for m in views}
    return replace(dataset, features=dataset.features | features)


def test_with_one_source_it_is_that_source_s_estimate(model) -> None:
    """Offset + gain s, and what is left is 1 - explained: to float32."""
    new, closed = draw(make_plan(DIMS), 50, 77), model.gaussian
    _, mean, spread = answers(model, new, ["b"])
    parts = (closed.gain, closed.offset, closed.explained)
    gain, offset, explained = (part["m_b"].m_a.numpy() for part in parts)
    assert mean["a"] == pytest.approx(new.features["b"] @ gain.T + offset, abs=1e-4)
    assert spread["a"] == pytest.approx(np.broadcast_to(1 - explained, spread["a"].shape), abs=1e-5)


def test_what_witnesses_who_know_nothing_say_is_not_added_up() -> None:
    """Cases that have both differ in their mean from all others: that is said by every source, and counts once."""
    closed = Gaussian(dict.fromkeys("abc", 1), dict.fromkeys("abc", 2))
    for source, target, explained in (("a", "c", 0.0), ("b", "c", 0.0), ("a", "b", 0.1), ("c", "b", 0.1)):
        for part, value in ((closed.gain, 0.0), (closed.offset, 0.5), (closed.explained, explained)):
            getattr(part[f"m_{source}"], f"m_{target}").fill_(value)
    for source, target in (("b", "a"), ("c", "a")):
        for part in (closed.gain, closed.offset, closed.explained):
            getattr(part[f"m_{source}"], f"m_{target}").zero_()
    shown = {modality: torch.tensor([True]) for modality in "abc"}
    mean, spread = closed({modality: torch.ones(1, 2) for modality in "abc"}, shown)
    assert [mean[modality].item() for modality in "abc"] == pytest.approx([0.0, 0.5, 0.5])
    assert (spread["c"].item(), spread["a"].item()) == (1.0, 1.0)
    assert spread["b"].item() < 1.0


def test_nothing_shown_is_nothing_known(model) -> None:
    """The estimate is the mean, zero in standardised units, with all of its variance."""
    _, mean, spread = answers(model, draw(make_plan(DIMS), 5, 77), [])
    for modality in DIMS:
        assert not mean[modality].any()
        assert (spread[modality] == 1).all()


def test_a_target_is_never_its_own_witness(model) -> None:
    """What is estimated of a modality does not depend on whether it is shown."""
    new = draw(make_plan(DIMS), 20, 77)
    for pair in combinations(DIMS, 2):
        assert np.array_equal(
            answers(model, new, pair)[1][pair[0]], answers(model, new, pair[1:])[1][pair[0]]
        )


def test_no_gradient_trains_it() -> None:
    """Buffers only: neither it nor the experts are among what learns."""
    assert not list(Gaussian({"a": 2, "b": 2}, {"a": 2, "b": 3}).parameters())
    trains = fusion_model(make_plan(DIMS, fin="refined", answer="both", basis_total=60), {}).trainable()
    assert not [
        name for name in trains if name.startswith(("gaussian", "expert", "blend", "basis", "spread"))
    ]
    assert isinstance(next(iter(trains.values())), torch.nn.Parameter)
