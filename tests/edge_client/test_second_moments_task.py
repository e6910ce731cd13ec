"""What a site makes of its cases for the closed forms."""

import re
from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, folded, make_plan, second_moments, solved, some_hidden
from msgspec.structs import replace as changed

from fedfin.errors import ProtocolError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CLIP, cosines, task_specs, tensor_specs
from fedfin.model.second_moment_spec import LARGEST, OTHER_HALF, diagonal, least_bytes, pack, unpack
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy, Rounds
from fedfin.protocol.payloads import Update, decode_payload, open_update
from fedfin.protocol.site.effects import Work
from fedfin_aggregator.closed_form.groups import by_group
from fedfin_aggregator.closed_form.moment_checks import check
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.outbox import make_outbox
from fedfin_edge.agent.state import AgentState, Progress
from fedfin_edge.agent.update import first_things_first, make_update
from fedfin_edge.cases.dataset import FEW, Dataset
from fedfin_edge.tasks.run_task import run_task

PLAN = make_plan({"image": 6, "text": 4}, basis_total=16)
QUIET = {"progress": lambda _: None, "stop": lambda: False}


def test_they_are_means_over_training_cases() -> None:
    """Held-out cases are not among them; each tensor's weight is the number of cases behind it."""
    cases = some_hidden(draw(PLAN, 50, 1), 1)
    half = Dataset(cases.features, cases.present, cases.labels, np.arange(50) % 2 == 0)
    rows = np.flatnonzero(~half.held_out)
    kept = Dataset({m: v[rows] for m, v in cases.features.items()}, {m: v[rows] for m, v in cases.present.items()},
                   cases.labels[rows], np.zeros(25, np.bool_))  # fmt: skip
    one, other = second_moments(PLAN, half), second_moments(PLAN, kept)
    assert one[1] == other[1]
    assert all(np.array_equal(one[0][name], other[0][name]) for name in one[0])
    both = int((kept.present["image"] & kept.present["text"]).sum())
    assert one[1]["second.complete.image.text"] == one[1]["labels.complete.text"] == both


def test_a_site_of_both_kinds_of_cases_sends_one_population_where_two_would_be_too_much(monkeypatch) -> None:
    """It is judged like any other, no case is lost, and what is solved from it is nearly the same."""
    dataset = some_hidden(draw(PLAN, 400, 1), 1)
    apart, weights = second_moments(PLAN, dataset)
    of_two = solved(PLAN, {"s0": dataset})["gaussian.gain.image.text"]
    monkeypatch.setattr(
        "fedfin_edge.tasks.moment_parts.MOST_BYTES", sum(array.nbytes for array in apart.values()) - 1
    )
    together, of_all = second_moments(PLAN, dataset)
    check(PLAN, together, of_all)
    assert not [name for name in together if "complete" in name]
    assert of_all["second.partial.image.image"] == dataset.present["image"].sum()
    assert of_all["second.partial.image.text"] == weights["second.complete.image.text"]
    of_one = solved(PLAN, {"s0": dataset})["gaussian.gain.image.text"]
    assert np.linalg.norm(of_two - of_one) < 0.15 * np.linalg.norm(of_two)
    assert not [name for name in second_moments(PLAN, draw(PLAN, 40, 1))[0] if "partial" in name]


def in_halves(dataset: Dataset) -> Dataset:
    """Every other case in the second half."""
    return replace(dataset, second_half=np.arange(len(dataset)) % 2 == 1)


def test_a_site_with_complete_cases_sends_two_halves_that_judge_each_other() -> None:
    """Together they are what it would send without; the aggregator keeps them in different groups."""
    dataset = some_hidden(draw(PLAN, 800, 1), 1)
    (whole, cases), (halves, of_half) = (second_moments(PLAN, d) for d in (dataset, in_halves(dataset)))
    check(PLAN, halves, of_half)
    apart = {name for name in whole if "complete" in name}
    assert set(halves) == set(whole) | {OTHER_HALF + name for name in apart}
    for name in apart:
        counts = np.array([of_half[name], of_half[OTHER_HALF + name]])
        assert counts.sum() == cases[name]
        pooled = np.average([halves[name], halves[OTHER_HALF + name]], axis=0, weights=counts)
        assert np.allclose(pooled, whole[name], atol=1e-5)
    assert len(by_group(folded(PLAN, {"s0": dataset}).sums)) == 1
    one, other = by_group(folded(PLAN, {"s0": in_halves(dataset)}).sums)
    assert {frozenset(one), frozenset(other)} == {frozenset(whole), frozenset(apart)}


def test_halves_stay_together_where_they_are_few_too_large_or_of_one_modality(monkeypatch) -> None:
    """Few cases may tell about single ones; single modalities have sites enough."""

    def parted(dataset: Dataset, plan: Plan = PLAN) -> bool:
        return any(name.startswith(OTHER_HALF) for name in second_moments(plan, in_halves(dataset))[0])

    assert parted(draw(PLAN, 2 * FEW, 1))
    assert not parted(draw(PLAN, 2 * FEW - 1, 1))
    assert not parted(draw(PLAN, 2 * FEW, 1, has={"text"}))
    alone = make_plan({"text": 4})
    assert not parted(draw(alone, 2 * FEW, 1), alone)
    dataset = in_halves(some_hidden(draw(PLAN, 800, 1), 1))
    of_all = sent(dataset)
    monkeypatch.setattr("fedfin_edge.tasks.moment_parts.MOST_BYTES", of_all - 1)
    assert parted(dataset)
    assert not any(name.startswith("second.complete") for name in second_moments(PLAN, dataset)[0])
    monkeypatch.setattr("fedfin_edge.tasks.moment_parts.MOST_BYTES", sent(dataset) - 1)
    assert not parted(dataset)


@pytest.mark.parametrize("hide", [True, False], ids=["of both kinds", "complete"])
def test_no_site_sends_more_than_the_limit_of_a_plan_that_may_begin(monkeypatch, hide) -> None:
    """A limit of one population is held, and used up, whatever the site's cases are."""
    dataset = in_halves(draw(PLAN, 400, 1))
    cases, most = some_hidden(dataset, 1) if hide else dataset, least_bytes(PLAN)
    assert sent(cases) > most
    monkeypatch.setattr("fedfin_edge.tasks.moment_parts.MOST_BYTES", most)
    assert sent(cases) == most


def test_with_secure_sums_every_site_sends_halves_of_all_that_it_has() -> None:
    """All sites are in one sum: what only some modalities tell is judged by other cases, too. No case counts twice."""
    plan = changed(PLAN, privacy=Privacy(level="secure"), rounds=Rounds(sites=3, min_sites=3))
    dataset = some_hidden(draw(PLAN, 20, 1), 1)
    (whole, cases), (halves, of_half) = (
        second_moments(PLAN, dataset),
        second_moments(plan, in_halves(dataset)),
    )
    check(plan, halves, of_half)
    assert set(halves) == {half + name for name in whole for half in ("", OTHER_HALF)}
    for name, count in cases.items():
        assert of_half[name] + of_half[OTHER_HALF + name] == count


def sent(dataset: Dataset) -> int:
    """Bytes."""
    return sum(array.nbytes for array in second_moments(PLAN, dataset)[0].values())


def test_a_half_that_is_none_is_refused() -> None:
    """By the name that was sent."""
    values, weights = second_moments(PLAN, in_halves(draw(PLAN, 2 * FEW, 1)))
    name = OTHER_HALF + "labels.complete.text"
    with pytest.raises(ProtocolError, match=re.escape(name)):
        check(PLAN, values, weights | {name: 1})


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_site_is_never_refused(seed: int) -> None:
    """Outliers, constant features, few cases, unknown labels, any pattern: they are within what cases can give."""
    plan = make_plan({"a": 5, "b": 4, "c": 3}, basis_total=21)
    for count in (1, 2, 40):
        dataset = some_hidden(draw(plan, count, seed, known=0.7), seed)
        dataset.features["a"][:, 0] = 1e6
        dataset.features["b"][:, 1] *= 1e-9
        dataset.features["c"][:, 0] = -1e6
        check(plan, *second_moments(plan, dataset))


def test_an_honest_site_whose_features_keep_their_scale_is_never_refused() -> None:
    """Also where one feature has all the variance, and the site all the outliers."""
    plan = make_plan({"a": 5, "b": 4}, scale="modality", basis_total=20)
    model = initial_model(plan)
    model["norm.a.square"] = np.array([1.0, 1e-6, 1e-6, 1e-6, 1e-6], np.float32)
    dataset = draw(plan, 40, 0)
    dataset.features["a"][:, 0] = 1e6
    values, weights = second_moments(plan, dataset, model=model)
    assert diagonal(values["second.complete.a.a"])[1] == pytest.approx(5 * LARGEST, rel=1e-3)
    check(plan, values, weights)
    with pytest.raises(ProtocolError, match="mean squares that no clipped features have"):
        check(make_plan({"a": 5, "b": 4}, basis_total=20), values, weights)


def test_the_greatest_mean_square_is_that_of_the_clip() -> None:
    """Both ends agree."""
    assert LARGEST == CLIP**2


def test_packing_is_undone() -> None:
    """And the diagonal is found in it."""
    square = np.random.default_rng(0).normal(size=(7, 7))
    square += square.T
    assert np.array_equal(unpack(pack(square)), square)
    assert np.array_equal(diagonal(pack(square)), np.diag(square))


def test_random_features_have_the_same_bits_everywhere_and_never_travel() -> None:
    """They follow from the plan's seed, fill the basis up, and are in no task; no training moves them."""
    assert cosines(PLAN) == {"image": 2, "text": 4}
    names = [name for name, spec in tensor_specs(PLAN).items() if spec.trained_by == "fixed"]
    assert names == [f"basis.{m}.{part}" for m in PLAN.dims for part in ("bias", "weight")]
    one, other = initial_model(PLAN), initial_model(PLAN)
    assert all(one[name].tobytes() == other[name].tobytes() for name in names)
    assert not np.array_equal(one[names[0]], initial_model(changed(PLAN, seed=5))[names[0]])
    for task in ("moments", "second_moments", "train", "evaluate"):
        assert not set(names) & set(task_specs(PLAN, task))
    deltas = run_task(PLAN, "train", 3, one, draw(PLAN, 20, 1), "s0", **QUIET).deltas
    assert not [name for name in deltas if name.startswith(("basis", "gaussian", "expert", "blend"))]


def test_the_update_carries_every_value_exactly() -> None:
    """Whatever the plan's codec says of training."""
    plan = changed(PLAN, codec=changed(PLAN.codec, up="small"))
    work = Work(2, "second_moments", 1)
    outbox = make_update(plan, work, initial_model(plan), draw(plan, 30, 1), "s0", "1" * 16, Feedback(""),
                         report=lambda *_: None, stop=lambda: False)  # fmt: skip
    values, weights = open_update(decode_payload(outbox.payload, Update), task_specs(plan, "second_moments"))
    wanted = second_moments(plan, draw(plan, 30, 1))
    assert weights == wanted[1]
    assert all(np.array_equal(values[name], wanted[0][name]) for name in wanted[0])
    assert (outbox.owed, outbox.lost) == (b"", b"")


def test_a_site_gives_before_it_trains_and_once() -> None:
    """In its first training round if it has not; nothing else is replaced, nor where nothing is solved."""
    train = Work(3, "train", 2)
    assert first_things_first(PLAN, train, gave_second_moments=False).task == "second_moments"
    assert first_things_first(PLAN, train, gave_second_moments=True) == train
    for task in ("moments", "evaluate"):
        assert first_things_first(PLAN, Work(3, task, 2), gave_second_moments=False).task == task
    plain = make_plan(fin="mlp", answer="head")
    assert first_things_first(plain, train, gave_second_moments=False) == train


@pytest.mark.parametrize("accepted", [True, False])
def test_the_site_remembers_that_it_gave_across_a_restart(accepted: bool, tmp_path) -> None:
    """When they were accepted; refused ones are given again. Training after it changes nothing of that."""
    state = AgentState(tmp_path)
    state.join("1" * 16, PLAN)
    work, (values, weights) = Work(2, "second_moments", 1), second_moments(PLAN, draw(PLAN, 30, 1))
    state.put_update(make_outbox(PLAN, work, "s0", "1" * 16, values, weights, {}, state.feedback(), {}))
    state.settle(accepted=accepted)
    assert AgentState(tmp_path).progress == Progress(
        run="1" * 16,
        settled=2,
        accepted=2 * accepted,
        gave_second_moments=accepted,
        gave_in=2 * accepted,
    )
    state = AgentState(tmp_path)
    state.put_update(make_outbox(PLAN, Work(3, "train", 2), "s0", "1" * 16, {}, {}, {}, state.feedback(), {}))
    state.settle(accepted=True)
    assert AgentState(tmp_path).progress.gave_second_moments == accepted
    state.join("2" * 16, PLAN)
    assert not state.progress.gave_second_moments
