"""Whole steps in narrow lanes: their sum is exact, whoever sends whatever is largest."""

import math

import numpy as np
import pytest
from cohort_sites import Sites, open_sum
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fedfin import limits
from fedfin.codec.presets import LEVELS, Levels, SumPreset
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import MAGNITUDES, quantized_shapes, task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Model, Privacy, Rounds
from fedfin.secure_sums import lanes
from fedfin.secure_sums.fixed_point import MOST
from fedfin.secure_sums.quantizer import Quantizer
from fedfin.secure_sums.summand import Summand


def make_plan(sites: int, up: SumPreset = "int4") -> Plan:
    """One modality and a head with a hidden layer."""
    return Plan(
        federation="ward",
        labels=("x",),
        modalities=(Modality(name="image", encoder="a" * 64, dim=3),),
        model=Model(answer="head", fin="mlp", head_width=2),
        rounds=Rounds(sites=sites, min_sites=3),
        privacy=Privacy(level="secure"),
        codec=Codec(up=up),
    )


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 512), st.integers(1, 127), st.integers(0, 2**32), st.integers(1, 200))
@example(50, 127, 0, 200)
@example(10, 7, 0, 200)
def test_sums_of_the_largest_numbers_come_out_of_their_lanes(
    sites: int, most: int, seed: int, count: int
) -> None:
    """All of one sign, mixed, or anything between: no lane overflows, none runs into another."""
    rng, bits = np.random.default_rng(seed), lanes.width(most, sites)
    each = rng.choice([-most, 0, most, int(rng.integers(-most, most + 1))], (sites, count))
    each[:, 0], each[:, -1] = most, -most
    total = np.zeros(lanes.word_count(count, bits), np.int64)
    for numbers in each:
        total += lanes.pack(numbers, bits)
    assert (lanes.unpack(total, bits, count) == each.sum(axis=0)).all()


def test_lanes_are_as_narrow_as_the_sums_allow() -> None:
    """One bit less, and the largest sum of one sign would read as one of the other."""
    for sites in range(2, limits.COHORT + 1):
        for levels in LEVELS.values():
            bits = lanes.width(levels.most, sites)
            assert levels.most * sites <= 2 ** (bits - 1) - 1
            assert levels.most * sites > 2 ** (bits - 2) - 1


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 50), st.sampled_from(list(LEVELS)), st.integers(0, 2**32))
def test_a_sum_of_steps_is_the_plain_fold_of_the_same_steps(sites: int, up: SumPreset, seed: int) -> None:
    """Masked, summed and opened; the largest changes, weights and steps among them, and whatever sites lack."""
    plan, rng = make_plan(sites, up), np.random.default_rng(seed)
    form, quantizer = Summand(plan, "train", LEVELS[up]), Quantizer(plan, LEVELS[up], _model(plan, rng))
    keys, words = Sites(sites), {}
    expected = {name: np.zeros(shape, object) for name, shape in quantized_shapes(plan).items()}
    for site in keys.names:
        values, weights = _update(plan, rng, sites)
        given_, _ = quantizer.quantize(values, weights)
        for name in expected.keys() & given_.keys():
            expected[name] += given_[name].astype(int).astype(object) * quantizer.steps[name]
        words[site] = form.words(given_, weights, {}, sites)
    dealings = keys.deal(keys.names)
    masked = keys.mask(dealings, words)
    consents = keys.consents(keys.names)
    reveals = {name: member.reveal(consents) for name, member in keys.members.items()}
    tensors, _ = form.opened(open_sum(keys, dealings, masked, keys.names, reveals), quantizer.steps)
    for name in expected.keys() & tensors.keys():
        assert (tensors[name][0].astype(object) == expected[name]).all()
        assert np.abs(expected[name]).max() <= tensors[name][1] * 2**40  # as a fold's: weight times VALUE_ABS


def _model(plan: Plan, rng: np.random.Generator):
    model = initial_model(plan)
    shape = model[MAGNITUDES].shape
    model[MAGNITUDES] = rng.choice([0.0, 1e-30, 1e-3, limits.VALUE_ABS], shape).astype(np.float32)
    return model


def _update(plan: Plan, rng: np.random.Generator, sites: int):
    shapes = {name: shape for name, shape in task_specs(plan, "train").items() if name != MAGNITUDES}
    values = {
        name: (rng.choice([-1.0, 1.0, 1e-9, rng.normal()], shape) * limits.VALUE_ABS).astype(np.float32)
        for name, shape in shapes.items()
        if rng.random() < 0.8
    }
    return values, {name: int(rng.choice([1, MOST // sites >> 40])) for name in values}


def test_what_rounding_leaves_out_stays_at_the_site() -> None:
    """Steps times their size and what is left are the values, also where steps are cut off."""
    plan = make_plan(3)
    model = initial_model(plan)
    model[MAGNITUDES] = np.ones_like(model[MAGNITUDES])
    quantizer = Quantizer(plan, LEVELS["int4"], model)
    values = {"head.output.weight": np.array([[0.004, -3.0]], np.float32)}
    given_, left = quantizer.quantize(values, {"head.output.weight": 20})
    assert given_["head.output.weight"].tolist() == [[0.0, -7.0]]
    assert left["head.output.weight"] == pytest.approx(np.array([[0.004, -3.0 + 7 * 0.5 / 20]]), rel=1e-6)


def test_steps_follow_what_sites_measured_of_their_changes() -> None:
    """Of those that have trained a tensor; before anybody has, of one batch at the plan's learning rate."""
    plan = make_plan(3)
    levels, model = Levels(7, 0.5), initial_model(plan)
    names = list(quantized_shapes(plan))
    first = Quantizer(plan, levels, model)
    guess = plan.training.learning_rate * plan.training.batch_size
    assert set(first.steps.values()) == {round(0.5 * guess * 2**24)}
    values = {names[0]: np.full(quantized_shapes(plan)[names[0]], -0.25, np.float32)}
    own = first.magnitudes(values, {names[0]: 40})
    assert own.tolist() == [[10.0, *[0.0] * (len(names) - 1)], [1.0, *[0.0] * (len(names) - 1)]]
    model[MAGNITUDES] = own / 4  # three other sites have not trained it
    assert Quantizer(plan, levels, model).steps[names[0]] == round(0.5 * 10 * 2**24)
    assert math.isclose(Quantizer(plan, levels, model).steps[names[1]], 0.5 * guess * 2**24, rel_tol=1e-6)


def test_steps_are_for_secure_sums() -> None:
    """At "open" the plan is refused, and the error says what to do."""
    plan = make_plan(3)
    with pytest.raises(ValueError, match=r'codec\.up = "int4" is for privacy\.level = "secure"'):
        replace(plan, privacy=Privacy())
