"""What a case adds to sums with noise."""

import numpy as np
import pytest
from private_plan import private_plan

from fedfin.model.model_spec import task_specs
from fedfin.privacy import contributions


@pytest.mark.parametrize("dim", [4, 32])
def test_a_case_is_about_as_long_as_the_norm_whatever_its_features(dim: int) -> None:
    """So that clipping bounds all alike, and noise is as large against a case in few dimensions as in many."""
    plan, rng, n = private_plan(dim, dim, labels=3), np.random.default_rng(1), 200
    basis = {m: np.insert(rng.standard_normal((n, dim)), 0, 1.0, axis=1) for m in plan.dims}
    present = {m: np.ones(n, np.bool_) for m in plan.dims}
    labels = (rng.random((n, 3)) < 0.2).astype(np.float64)
    tensors = contributions.second_moments(plan, basis, present, labels)
    norms = np.sqrt(sum(np.square(values).reshape(n, -1).sum(axis=1) for values in tensors.values()))
    assert 1.0 < np.median(norms) < 3.0


def test_tensors_are_those_of_the_plan_and_of_one_half() -> None:
    """Shapes and names; the other half has the same."""
    plan = private_plan(4, 4, labels=3)
    basis = {m: np.ones((2, 5)) for m in plan.dims}
    present = {"image": np.array([True, True]), "text": np.array([True, False])}
    tensors = contributions.second_moments(plan, basis, present, np.array([[1.0, 0.0, np.nan]] * 2))
    shapes = {name: values.shape[1:] for name, values in tensors.items()}
    wanted = task_specs(plan, "second_moments")
    assert shapes == {name: shape for name, shape in wanted.items() if "other_half" not in name}
    assert {f"other_half.{name}" for name in shapes} | shapes.keys() == wanted.keys()


def test_what_a_case_lacks_adds_nothing() -> None:
    """Neither products with it nor counts of its labels."""
    plan = private_plan(4, 4, labels=3)
    basis = {m: np.ones((1, 5)) for m in plan.dims}
    present = {"image": np.array([True]), "text": np.array([False])}
    tensors = contributions.second_moments(plan, basis, present, np.array([[1.0, 0.0, np.nan]]))
    assert not any(values.any() for name, values in tensors.items() if "text" in name)
    known, positive = np.moveaxis(tensors["labels.partial.image"][0], 1, 0)
    assert known[:, 0].tolist() == [contributions.COUNTED, contributions.COUNTED, 0.0]
    assert not known[:, 1:].any()
    assert positive[0, 0] == contributions.CONSTANT
    assert not positive[1:].any()
