"""What a site gives to a sum with noise: bounded by patient, in whole steps, and the same words whatever it has."""

import numpy as np
import pytest
from private_plan import private_plan

from fedfin.errors import StateError
from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import Task, task_specs
from fedfin.privacy.budget import SIDES, rho_of_round
from fedfin.privacy.clipping import STEPS, in_steps
from fedfin.privacy.shared_noise import share_variance
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks import noised_sums
from fedfin_edge.tasks.run_task import run_task
from fedfin_edge.tasks.task import TaskResult

PLAN = private_plan(trains=True)
TASKS: tuple[Task, ...] = ("second_moments", "train", "calibrate", "evaluate")


def _dataset(
    patients: list[int], *, seed: int = 0, size: float = 1.0, held_out: float = 0.0, validation: float = 0.0
) -> Dataset:
    """A case for each of these patients; on which side one is, and in which half, is his number's."""
    rng, n, numbers = np.random.default_rng(seed), len(patients), np.array(patients, np.int64)
    return Dataset(
        {m: (size * rng.standard_normal((n, dim))).astype(np.float32) for m, dim in PLAN.dims.items()},
        {m: rng.random(n) < 0.8 for m in PLAN.dims},
        rng.choice(np.array([0, 1, np.nan], np.float32), (n, 2)),
        (numbers % 10) / 10 < held_out,
        validation=(numbers % 10) / 10 < held_out + validation,
        second_half=numbers % 2 == 1,
        patient=numbers,
    )


def _rows(dataset: Dataset, rows: np.ndarray) -> Dataset:
    return Dataset(
        {m: values[rows] for m, values in dataset.features.items()},
        {m: values[rows] for m, values in dataset.present.items()},
        dataset.labels[rows],
        dataset.held_out[rows],
        validation=dataset.calibration_held_out[rows],
        second_half=dataset.in_second_half[rows],
        patient=dataset.patient_numbers[rows],
    )


def _run(task: Task, dataset: Dataset) -> TaskResult:
    return run_task(
        PLAN, task, 1, initial_model(PLAN), dataset, "s0", progress=lambda _: None, stop=lambda: False
    )


def _flat(tensors: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)]).astype(np.float64)


@pytest.fixture
def noiseless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum itself, rounded down: a difference between two is then what a patient adds."""

    def down(contributions: np.ndarray, norm: float) -> np.ndarray:
        return in_steps(contributions, norm, lambda count: np.zeros(count, np.uint64))

    monkeypatch.setattr(noised_sums, "discrete_gaussian", lambda _variance, count: np.zeros(count, np.int64))
    monkeypatch.setattr(noised_sums, "in_steps", down)


@pytest.mark.usefixtures("noiseless")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [0.1, 1.0, 1000.0])
def test_no_patient_moves_the_sum_by_more_than_the_norm(task: Task, size: float) -> None:
    """Of one case or of fifty; over all tensors of the task together, both halves of them."""
    patients, asked = [*range(10), *[3] * 49, *[4] * 7], {"evaluate": "held_out", "calibrate": "validation"}
    sides = {asked[task]: 1.0} if task in asked else {}
    whole = _dataset(patients, seed=1, size=size, **sides)
    everything, moved = _flat(_run(task, whole).deltas), []
    for patient in range(10):
        without = _flat(_run(task, _rows(whole, np.array(patients) != patient)).deltas)
        moved.append(np.linalg.norm(everything - without))
    assert (0.5 if task == "calibrate" else 0.9) < max(moved) <= 1.0


@pytest.mark.usefixtures("noiseless")
def test_each_task_tells_of_the_patients_that_its_budget_counts() -> None:
    """Training and calibration, of different ones, have second moments in common; evaluation is of neither."""
    whole = _dataset(list(range(40)), held_out=0.5, validation=0.2)
    held_out, calibrating = whole.held_out, whole.calibration_held_out
    sides = {"training": ~held_out & ~calibrating, "calibration": calibrating, "held out": held_out}
    assert [int(side.sum()) for side in sides.values()] == [12, 8, 20]
    for task in TASKS:
        told = np.logical_or.reduce([sides[side] for side in SIDES[task]])
        alone = _run(task, _rows(whole, told))
        assert np.array_equal(_flat(_run(task, whole).deltas), _flat(alone.deltas))


@pytest.mark.usefixtures("noiseless")
def test_blocks_of_cases_give_the_sum_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A patient's cases come into one block, wherever they stand in the table."""
    whole = _dataset([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 0])
    at_once = _flat(_run("second_moments", whole).deltas)
    monkeypatch.setattr(noised_sums, "_BLOCK_VALUES", 1)
    assert np.array_equal(_flat(_run("second_moments", whole).deltas), at_once)


@pytest.mark.parametrize("task", TASKS)
def test_every_site_gives_the_same_words_whatever_it_has(task: Task) -> None:
    """All tensors, weight 1, no metric: how many cases it has is known to none; a site with none gives noise alone."""
    for dataset in (_dataset(list(range(30)), held_out=0.3), _dataset([]), _dataset([2], held_out=0.0)):
        result = _run(task, dataset)
        assert {name: array.shape for name, array in result.deltas.items()} == task_specs(PLAN, task)
        assert result.weights == dict.fromkeys(task_specs(PLAN, task), 1)
        assert result.metrics == {}


@pytest.mark.parametrize("task", TASKS)
def test_values_are_whole_steps_with_this_site_s_share_of_the_noise(task: Task) -> None:
    """So that sums are exact; the variance is what the plan's epsilon, delta and min_sites ask for."""
    one, other = (_flat(_run(task, _dataset([])).deltas) * STEPS for _ in range(2))
    assert np.array_equal(one, np.rint(one))
    noise = np.concatenate([one, other])
    wanted = share_variance(rho_of_round(PLAN, task), 5)
    assert abs(noise.var() / wanted - 1) < 5 * np.sqrt(2 / noise.size)
    assert (one != other).mean() > 0.9


def test_the_halves_have_noise_of_their_own() -> None:
    """A patient is in one of them alone."""
    tensors = _run("second_moments", _dataset([])).deltas
    for name in (name for name in tensors if not name.startswith("other_half.")):
        assert (tensors[name] != tensors[f"other_half.{name}"]).any()


def test_more_patients_than_an_exact_sum_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy."""
    monkeypatch.setattr(noised_sums, "MOST_PATIENTS", 5)
    with pytest.raises(
        StateError, match=r"6 patients on one side of its split.*split the case table over two sites"
    ):
        _run("second_moments", _dataset([0, 2, 4, 6, 8, 10]))


def test_features_are_divided_by_the_plan_s_deviation() -> None:
    """Nobody pools one: the first model has it."""
    model = load_model(PLAN, initial_model(PLAN))
    raw = _dataset(list(range(8)))
    standard = model.standardise(
        {m: noised_sums_tensor(values) for m, values in raw.features.items()},
        {m: noised_sums_tensor(values) for m, values in raw.present.items()},
    )
    for modality, values in standard.items():
        there = raw.present[modality]
        assert np.allclose(values.numpy()[there], raw.features[modality][there], atol=1e-5)


def noised_sums_tensor(array: np.ndarray):
    """As torch has it."""
    import torch

    return torch.from_numpy(array)
