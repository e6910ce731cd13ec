"""Promises of a site's task: what is sent, with which weight, and that it repeats exactly."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from fedfin.codec import PRESETS
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Model, Privacy, Rounds, Stage, Training
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task
from fedfin_edge.tasks.task import TaskStoppedError
from fedfin_edge.tasks.train import draws_of

DIMS = {"image": 24, "text": 12, "lab": 5}


def make_plan(fin="mlp", modalities=("image", "text"), **training):
    """A small plan; two labels."""
    return Plan(
        federation="test",
        labels=("a", "b"),
        modalities=tuple(Modality(name=m, encoder="0" * 64, dim=DIMS[m]) for m in modalities),
        model=Model(answer="head", fin=fin, head_width=8, fin_width=32, fin_heads=4, memory_tokens=2),
        training=Training(**training),
    )


def make_dataset(plan, patterns, seed=0, noise=0.3):
    """One case per pattern (the modalities it has); every modality is a linear view of the same 3 factors."""
    generator = np.random.default_rng(seed)
    n = len(patterns)
    factors = generator.standard_normal((n, 3))
    views = np.random.default_rng(99)
    present = {m: np.array([m in pattern for pattern in patterns]) for m in plan.dims}
    features = {}
    for m, dim in plan.dims.items():
        values = factors @ views.standard_normal((3, dim)) + noise * generator.standard_normal((n, dim)) + 2.0
        features[m] = np.where(present[m][:, None], values, 0.0).astype(np.float32)
    labels = np.stack([factors[:, 0] > 0, factors[:, 1] > 0], axis=1).astype(np.float32)
    return Dataset(features, present, labels, np.zeros(n, np.bool_))


def run(plan, task, dataset, model=None, *, round_number=2, site="a"):
    """A task with nobody watching."""
    start = initial_model(plan) if model is None else model
    return run_task(
        plan, task, round_number, start, dataset, site, progress=lambda _: None, stop=lambda: False
    )


BOTH, IMAGE, TEXT = ("image", "text"), ("image",), ("text",)


@pytest.mark.parametrize("fin", ["zero", "mlp", "decoder"])
def test_the_same_task_sends_the_same_bytes(fin):
    """And another round or another site does not."""
    plan = make_plan(fin)
    dataset = make_dataset(plan, [BOTH, IMAGE, TEXT] * 20)
    first, again = run(plan, "train", dataset), run(plan, "train", dataset)
    name = "head.real.image.weight"
    assert {k: v.tobytes() for k, v in first.deltas.items()} == {
        k: v.tobytes() for k, v in again.deltas.items()
    }
    assert (first.weights, first.metrics) == (again.weights, again.metrics)
    for other in (run(plan, "train", dataset, round_number=3), run(plan, "train", dataset, site="b")):
        assert other.deltas[name].tobytes() != first.deltas[name].tobytes()


def test_what_a_site_draws_with_a_secret_nobody_draws_who_does_not_know_it() -> None:
    """In secure sums: who knew which case was shown what could solve for single cases. The same one draws the same."""
    draws = [
        torch.rand(4, generator=draws_of(make_plan("mlp"), 3, "a", secret)).tolist()
        for secret in (b"", b"one", b"other", b"one")
    ]
    assert draws[1] == draws[3]
    assert len({tuple(one) for one in draws}) == 3


@pytest.mark.parametrize(("complete", "told"), [(9, False), (10, True)])
def test_in_a_sum_what_imputation_leaves_of_few_patients_is_not_told(complete: int, told: bool) -> None:
    """Of one it is that patient's squared error by feature."""
    rounds, privacy = Rounds(count=4, sites=3, min_sites=3), Privacy(level="secure")
    plan = replace(make_plan("mlp"), rounds=rounds, privacy=privacy, training=Training(epochs=20))
    dataset = make_dataset(plan, [BOTH] * complete + [IMAGE, TEXT] * 20)
    result = run(plan, "train", dataclasses.replace(dataset, least_patients=10))
    assert {name for name in result.deltas if name.startswith("spread.")} == (
        {"spread.image", "spread.text"} if told else set()
    )
    assert "head.real.image.weight" in result.deltas


def test_a_preset_s_learning_rate_factor_multiplies_the_plan_s():
    """In the rounds in which it holds, and in no other."""
    slow = make_plan(learning_rate=1e-3)
    tiny = (Stage(from_round=2, up="tiny", down="exact"),)
    fast = replace(slow, codec=Codec(up="minimal", schedule=tiny))
    usual = replace(slow, training=Training(learning_rate=1e-3 * PRESETS["minimal"].learning_rate_factor))
    name, dataset = "head.real.image.weight", make_dataset(slow, [BOTH] * 20)
    deltas = [run(plan, "train", dataset).deltas[name].tobytes() for plan in (slow, fast, usual)]
    assert deltas[1] == deltas[2] != deltas[0]


@pytest.mark.parametrize("fin", ["zero", "mlp", "decoder"])
def test_image_only_site_sends_nothing_it_did_not_train(fin):
    """No FIN, nothing that reads real text or imputed images."""
    plan = make_plan(fin)
    sent = run(plan, "train", make_dataset(plan, [IMAGE] * 30)).weights
    wanted = {"head.output", "head.real.image"} | ({"head.imputed.text"} if fin != "zero" else set())
    assert sent == {f"{name}.{part}": 30 for name in wanted for part in ("weight", "bias")}


def test_weights_count_the_cases_behind_each_tensor():
    """Without modality dropout: 5 complete, 7 images, 2 texts; every epoch counts a case once."""
    plan = make_plan(modality_dropout=0.0, epochs=20)
    weights = run(plan, "train", make_dataset(plan, [BOTH] * 5 + [IMAGE] * 7 + [TEXT] * 2)).weights
    assert weights["head.output.bias"] == 14
    assert (weights["head.real.image.weight"], weights["head.real.text.weight"]) == (12, 7)
    assert (weights["head.imputed.image.weight"], weights["head.imputed.text.weight"]) == (2, 7)
    assert weights["fin.norm.weight"] == 5
    # Over 20 epochs each of the five complete cases is asked for either modality.
    assert weights["fin.output.text.weight"] == weights["fin.input.image.weight"] == 5


def test_a_modality_the_site_lacks_is_not_sent():
    """Of three modalities a site has two: FIN learns from them, the third's own tensors stay out."""
    plan = make_plan(modalities=("image", "text", "lab"))
    weights = run(plan, "train", make_dataset(plan, [BOTH] * 20)).weights
    assert not [
        name for name in weights if name.startswith(("fin.input.lab", "fin.output.lab", "head.real.lab"))
    ]
    assert weights["head.imputed.lab.weight"] == 20


def test_everything_sent_is_in_the_task_s_specs():
    """Names and shapes of all three tasks; finite float32; a weight for each."""
    plan = make_plan(modalities=("image", "text", "lab"), epochs=8)
    dataset = make_dataset(plan, [("image", "text", "lab"), IMAGE, BOTH] * 10)
    half = Dataset(dataset.features, dataset.present, dataset.labels, np.arange(30) % 2 == 0)
    for task in ("moments", "train", "evaluate"):
        result, specs = run(plan, task, half), task_specs(plan, task)
        assert {name: value.shape for name, value in result.deltas.items()} == specs
        assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in result.deltas.values())
        assert result.weights.keys() == result.deltas.keys()


def test_unknown_labels_train_only_fin():
    """A site without one label still teaches imputation, and nothing else."""
    plan = make_plan()
    dataset = make_dataset(plan, [BOTH] * 30)
    unknown = Dataset(
        dataset.features, dataset.present, np.full_like(dataset.labels, np.nan), dataset.held_out
    )
    result = run(plan, "train", unknown)
    assert result.weights
    assert all(name.startswith(("fin.", "spread.")) for name in result.weights)


def test_held_out_cases_are_never_trained_on():
    """Changing the held-out cases changes no byte; changing the others does."""
    plan = make_plan()
    dataset = make_dataset(plan, [BOTH] * 30)
    held = np.arange(30) >= 20
    for task in ("moments", "train"):
        sent = []
        for changed in (held & False, held, ~held):
            features = {m: np.where(changed[:, None], np.float32(7), v) for m, v in dataset.features.items()}
            result = run(plan, task, Dataset(features, dataset.present, dataset.labels, held))
            sent.append({name: value.tobytes() for name, value in result.deltas.items()})
        assert sent[0] == sent[1]
        assert sent[0] != sent[2]


def test_moments_of_two_sites_pool_to_those_of_their_union():
    """Weighted by the cases behind them."""
    plan = make_plan()
    patterns = [BOTH] * 10 + [IMAGE] * 23 + [TEXT] * 4
    whole = make_dataset(plan, patterns)
    first = np.arange(len(whole)) < 15
    parts = [
        Dataset(
            {m: v[s] for m, v in whole.features.items()},
            {m: v[s] for m, v in whole.present.items()},
            whole.labels[s],
            whole.held_out[s],
        )
        for s in (first, ~first)
    ]
    results = [run(plan, "moments", part) for part in parts]
    together = run(plan, "moments", whole)
    for name, value in together.deltas.items():
        weights = [result.weights[name] for result in results]
        pooled = np.average([result.deltas[name] for result in results], axis=0, weights=weights)
        np.testing.assert_allclose(pooled, value, rtol=1e-5)
        assert sum(weights) == together.weights[name]


def train_alone(plan, dataset, rounds):
    """A federation of one: moments, then rounds of training. Returns the model and each round's metrics."""
    model = initial_model(plan) | run(plan, "moments", dataset).deltas
    history = []
    for number in range(2, rounds + 2):
        result = run(plan, "train", dataset, model, round_number=number)
        model = model | {name: model[name] + delta for name, delta in result.deltas.items()}
        history.append(result.metrics)
    return model, history


@pytest.mark.parametrize("fin", ["mlp", "decoder"])
def test_both_losses_fall(fin):
    """And FIN explains most of a strongly related modality."""
    plan = make_plan(fin, epochs=4, learning_rate=3e-3)
    _, history = train_alone(plan, make_dataset(plan, [BOTH] * 128), 15)
    assert history[-1]["label_loss"] < 0.5 * history[0]["label_loss"]
    assert history[-1]["fin_loss"] < 0.3 < history[0]["fin_loss"]


def test_imputation_helps_where_modalities_are_related():
    """Images alone tell little; the text that many unlabelled pairs let FIN infer from them tells more.

    Labels exist only with text, so that only imputed text can answer for an image-only case.
    """
    scores = {}
    for fin in ("zero", "mlp"):
        plan = make_plan(fin, epochs=4, learning_rate=3e-3, modality_dropout=0.0)
        dataset = make_dataset(plan, [BOTH] * 200 + [TEXT] * 100)
        dataset.labels[:200] = np.nan
        model, _ = train_alone(plan, dataset, 12)
        if fin == "mlp":  # the head's columns for imputed text start from those for real text
            model |= {f"head.imputed.text.{p}": model[f"head.real.text.{p}"] for p in ("weight", "bias")}
        test = make_dataset(plan, [IMAGE] * 200, seed=5)
        held = Dataset(test.features, test.present, test.labels, np.ones(200, np.bool_))
        counts = run(plan, "evaluate", held, model).deltas["eval.only-image"][0]
        scores[fin] = accuracy(counts)
    assert scores["mlp"] > scores["zero"] + 0.2


def accuracy(histogram):
    """Share of cases on the right side of logit 0; histogram [2, bins]."""
    half = histogram.shape[1] // 2
    return histogram[0, :half].sum() + histogram[1, half:].sum()


def test_stop_ends_a_task_between_batches():
    """And progress had told of the share done."""
    plan, seen = make_plan(epochs=50), []
    with pytest.raises(TaskStoppedError):
        run_task(
            plan,
            "train",
            2,
            initial_model(plan),
            make_dataset(plan, [BOTH] * 64),
            "a",
            progress=seen.append,
            stop=lambda: len(seen) == 3,
        )
    assert seen == [pytest.approx((i + 1) / 100) for i in range(3)]


def test_a_site_without_training_cases_sends_nothing():
    """All held out: no division by zero, no tensors."""
    plan = make_plan()
    dataset = make_dataset(plan, [BOTH] * 4)
    empty = Dataset(dataset.features, dataset.present, dataset.labels, np.ones(4, np.bool_))
    for task in ("moments", "train"):
        result = run(plan, task, empty)
        assert (result.deltas, result.weights) == ({}, {})


def test_training_fits_a_small_machine():
    """A process that trains on 1,000 cases at 1280 + 384 features with the default model: at most 450 MB."""
    code = """
import numpy as np
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task
from fedfin.model.initial_model import initial_model
from fedfin.plan import Plan
from fedfin.plan_sections import Modality
sizes = {"image": 1280, "text": 384}
plan = Plan(federation="f", labels=("a",),
            modalities=tuple(Modality(name=m, encoder="0" * 64, dim=d) for m, d in sizes.items()))
yes = np.ones(1000, np.bool_)
dataset = Dataset({m: np.ones((1000, d), np.float32) for m, d in sizes.items()}, dict.fromkeys(sizes, yes),
                  np.ones((1000, 1), np.float32), ~yes)
run_task(plan, "train", 2, initial_model(plan), dataset, "a", progress=lambda _: None, stop=lambda: False)
# Not ru_maxrss: it is inherited from the process that starts this one.
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) <= 450
    print(done.stdout)
