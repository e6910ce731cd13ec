"""What is timed is what a hand counts, and what others send is no less than its values."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.costs.compute.fusion_subjects import FULL, full_plan, model_of
from benchmarks.costs.compute.process import measure_here
from benchmarks.costs.compute.subjects import SUBJECTS
from benchmarks.costs.framing import framed, ours
from benchmarks.costs.learning import Course, closed_forms_reach, goal, rounds_needed
from fedfin.model.model_spec import task_specs

IMAGE, TEXT = FULL.values()
WIDTH = 256


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("fin-gaussian", 2 * IMAGE * TEXT),
        ("fin-mlp", 2 * (IMAGE + TEXT) * WIDTH + 2 * 2 * WIDTH**2),
        ("fin-refined", 2 * IMAGE * TEXT + 2 * (IMAGE + TEXT) * WIDTH + 2 * 2 * WIDTH**2),
        ("fin-mean", 0),
        ("fin-zero", 0),
        ("retrieval", 1000 * IMAGE),
    ],
)
def test_a_fin_costs_what_a_hand_counts(name, by_hand):
    (measured,) = measure_here(Path("not-needed"), [name], threads=1, seconds=0.0)
    assert measured.multiply_adds == by_hand
    assert len(measured.samples) >= 3
    assert min(measured.samples) > 0
    assert measured.peak_mb >= measured.before_mb > 0


def test_every_subject_has_a_title_of_its_own():
    assert len({entry.title for entry in SUBJECTS.values()}) == len(SUBJECTS)


def update():
    draw = np.random.default_rng(0)
    shapes = task_specs(full_plan(model_of("mlp")), "train")
    return {name: draw.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def test_frameworks_send_no_less_than_the_values():
    float32, *others = framed(update())
    assert float32.bytes == 4 * sum(map(math.prod, task_specs(full_plan(model_of("mlp")), "train").values()))
    for one in others:
        assert float32.bytes < one.bytes < 1.01 * float32.bytes
        assert one.how == (
            "run" if importlib.util.find_spec({"Flower": "flwr"}.get(one.name, "nvflare")) else "computed"
        )


def test_presets_send_less_each():
    sizes = [
        ours(update(), preset).bytes for preset in ("exact", "half", "balanced", "small", "tiny", "minimal")
    ]
    assert sizes == sorted(sizes, reverse=True)


def course(preset, auc, *, closed=90.0, final=100.0):
    return Course(preset, 0, closed, auc, final, {}, {})


def test_rounds_are_counted_until_a_share_of_what_exact_ends_with():
    courses = [
        course("exact", [80.0, 98.9, 99.0, 99.5]),
        course("small", [70.0, 80.0, 90.0, 98.0], final=98.0),
    ]
    assert goal(courses) == 99.0
    assert rounds_needed(courses, "exact") == 3
    assert rounds_needed(courses, "small") is None
    assert not closed_forms_reach(courses)
    assert closed_forms_reach([course("exact", [1.0], closed=99.0)])
