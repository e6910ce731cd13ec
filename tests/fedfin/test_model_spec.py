"""Promises of the table of tensors: order, initial bits, and who may send what."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import HISTOGRAM_BINS, scenarios, task_specs, tensor_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model


def make_plan(fin="mlp", modalities=3, seed=7, head_width=8):
    """A small plan with up to three modalities."""
    dims = [("image", 24), ("text", 12), ("lab", 5)][:modalities]
    return Plan(
        federation="test",
        labels=("a", "b"),
        seed=seed,
        modalities=tuple(Modality(name=name, encoder="0" * 64, dim=dim) for name, dim in dims),
        model=Model(
            answer="head",
            fin=fin,
            head_width=head_width,
            fin_width=16,
            fin_heads=4,
            fin_layers=2,
            memory_tokens=2,
        ),
    )


def digest(model):
    """SHA-256 over names and little-endian bytes."""
    total = hashlib.sha256()
    for name, value in model.items():
        total.update(name.encode() + value.astype("<f4").tobytes())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("fin", "expected"),
    [
        ("zero", "fd0dc054b1e2d2520dd628a883332a0aa74f28067850aabeafdcdf2e3354160b"),
        ("mlp", "de473909bab3ab44f4d00e31d4b93bdd6deb310ec2abdf8904472a6ff2d409a5"),
        ("decoder", "5900016ae5861f5c0219ec983808b9c110c23b97c7c86fa5e4c7939f195848e8"),
    ],
)
def test_initial_bits_are_pinned(fin, expected):
    """Aggregators and sites of one release start from the same bits on every platform."""
    assert digest(initial_model(make_plan(fin))) == expected


def test_initial_model_follows_the_specs():
    """Shapes, float32, within bounds, and filling them."""
    plan = make_plan()
    model = initial_model(plan)
    assert list(model) == sorted(model) == list(tensor_specs(plan))
    for name, spec in tensor_specs(plan).items():
        value = model[name]
        assert (value.shape, value.dtype) == (spec.shape, np.float32)
        assert np.abs(value - spec.start).max() <= spec.bound * (1 + 1e-6)
        if spec.bound and value.size > 50:
            assert value.std() == pytest.approx(spec.bound / np.sqrt(3), rel=0.3)


def test_the_seed_and_the_name_decide():
    """Another seed, other values; two tensors of one shape differ; the same plan is the same."""
    one, two = initial_model(make_plan()), initial_model(make_plan(seed=8))
    assert digest(one) == digest(initial_model(make_plan()))
    assert not np.array_equal(one["fin.layers.0.up.weight"], two["fin.layers.0.up.weight"])
    assert not np.array_equal(one["fin.layers.0.up.weight"], one["fin.layers.1.up.weight"])


def test_another_modality_leaves_the_rest_as_it_was():
    """A tensor's start depends on nothing but seed, name and shape."""
    two, three = initial_model(make_plan(modalities=2)), initial_model(make_plan(modalities=3))
    assert all(np.array_equal(value, three[name]) for name, value in two.items())


def test_tasks_share_the_tensors_between_them():
    """Every tensor of the model belongs to exactly one of moments and train; evaluation has its own."""
    plan = make_plan()
    moments, train = task_specs(plan, "moments"), task_specs(plan, "train")
    assert not moments.keys() & train.keys()
    assert moments | train == {name: spec.shape for name, spec in tensor_specs(plan).items()}
    assert all(name.startswith("norm.") for name in moments)
    assert task_specs(plan, "evaluate") == {f"eval.{s}": (2, 2, HISTOGRAM_BINS) for s in scenarios(plan)}


def test_who_changes_the_specs_changes_his_own():
    """They are made once for a plan, and given to everybody."""
    tensor_specs(make_plan()).clear()
    assert "head.output.bias" in tensor_specs(make_plan())


def test_no_torch_is_loaded():
    """The aggregator reads this table in an installation without torch."""
    code = "import sys, fedfin.model.model_spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
