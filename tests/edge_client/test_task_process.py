"""Tasks in a process of their own: the same bytes as in this one, and nothing of torch stays behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedfin.errors import FedfinError, StateError
from fedfin.model.initial_model import initial_model
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Training
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task
from fedfin_edge.tasks.task import TaskStoppedError
from fedfin_edge.tasks.task_messages import error_of, failure_of
from fedfin_edge.tasks.task_process import TaskProcess

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=6),),
    model=Model(fin="mlp", answer="head", head_width=4),
    training=Training(learning_rate=0.01, epochs=2, batch_size=4),
)
LONG = Training(learning_rate=0.01, epochs=1000, batch_size=4)


def cases(count: int) -> Dataset:
    rng = np.random.default_rng(count)
    features = rng.standard_normal((count, 6)).astype(np.float32)
    labels = (features[:, :1] > 0).astype(np.float32)
    held_out = np.arange(count) % 4 == 0
    return Dataset(
        {"image": features}, {"image": np.ones(count, np.bool_)}, labels, held_out, patient=np.arange(count)
    )


def ask(where, task, dataset, plan=PLAN, stop=lambda: False, secret=b""):
    model = initial_model(plan)
    return where(plan, task, 2, model, dataset, "s0", progress=lambda _: None, stop=stop, secret=secret)


@pytest.fixture(scope="module")
def tasks() -> Iterator[TaskProcess]:
    process = TaskProcess()
    yield process
    process.close()


@pytest.mark.parametrize("task", ["moments", "train", "evaluate"])
def test_a_task_gives_the_bytes_that_it_gives_in_this_process(tasks: TaskProcess, task: str) -> None:
    for count in (16, 24, 24):  # of a data set that the process has, too
        here, there = (ask(where, task, cases(count)) for where in (run_task, tasks.run_task))
        assert (there.weights, there.metrics, there.contradicts) == (
            here.weights,
            here.metrics,
            here.contradicts,
        )
        assert {n: d.tobytes() for n, d in there.deltas.items()} == {
            n: d.tobytes() for n, d in here.deltas.items()
        }
        assert all(array.flags.writeable for array in there.deltas.values())
    assert tasks.peak_rss_mb > 100


def test_the_site_s_secret_is_in_what_training_draws(tasks: TaskProcess) -> None:
    name = "head.output.weight"
    here, there, other = (
        ask(where, "train", cases(16), secret=secret).deltas[name].tobytes()
        for where, secret in ((run_task, b"one"), (tasks.run_task, b"one"), (tasks.run_task, b""))
    )
    assert here == there != other


def test_a_task_that_is_stopped_gives_nothing_and_the_next_one_is_done(tasks: TaskProcess) -> None:
    """In the same process: importing torch again takes seconds."""
    ask(tasks.run_task, "train", cases(16))
    process, seen = tasks._process, []
    long = Plan(**{name: getattr(PLAN, name) for name in PLAN.__struct_fields__} | {"training": LONG})
    with pytest.raises(TaskStoppedError):
        tasks.run_task(
            long,
            "train",
            2,
            initial_model(long),
            cases(16),
            "s0",
            progress=seen.append,
            stop=lambda: len(seen) > 3,
        )
    assert 3 < len(seen) < 3000
    assert ask(tasks.run_task, "train", cases(16)).weights
    assert tasks._process is process


def test_a_process_that_was_ended_from_outside_is_named_and_the_next_task_has_another(
    tasks: TaskProcess,
) -> None:
    ask(tasks.run_task, "moments", cases(16))
    os.kill(tasks._process.pid, signal.SIGKILL)
    with pytest.raises(FedfinError, match="memory ran out"):
        ask(tasks.run_task, "moments", cases(16))
    assert ask(tasks.run_task, "moments", cases(16)).weights


def test_a_process_without_a_task_ends_after_a_while_and_not_before() -> None:
    tasks = TaskProcess(idle_s=3600)
    ask(tasks.run_task, "moments", cases(16))
    process = tasks._process
    tasks.end_if_idle()
    assert process.is_alive()
    tasks._idle_s = 0
    tasks.end_if_idle()
    assert not process.is_alive()


def test_a_process_ends_with_its_parent_in_the_middle_of_a_task() -> None:
    """The parent is killed while it trains for hours."""
    code = """
import test_task_process as t
tasks = t.TaskProcess()
plan = t.Plan(**{n: getattr(t.PLAN, n) for n in t.PLAN.__struct_fields__} | {"training": t.LONG})
tasks.run_task(plan, "train", 2, t.initial_model(plan), t.cases(2000), "s0", stop=lambda: False,
               progress=lambda share: print(share, flush=True))
"""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    with parent:
        assert parent.stdout.readline()  # it is at work
        parent.kill()
        parent.communicate(
            timeout=10
        )  # to the end of its output, which the process that computes holds open, too


def test_errors_come_back_as_what_they_were() -> None:
    """With exit code and cause; one that nobody expects with where it came from."""
    refused = StateError("too few")
    refused.declines = "patients"
    found = error_of(failure_of(refused))
    assert (type(found), str(found), found.declines) == (StateError, "too few", "patients")
    with pytest.raises(TypeError) as unexpected:
        ask(run_task, "train", replace(cases(16), labels=None))
    assert "in the process that computes" in str(error_of(failure_of(unexpected.value)))
    assert "train.py" in str(error_of(failure_of(unexpected.value)))


def test_an_agent_that_waits_has_no_torch() -> None:
    """Nor anything else that takes long to import: what `fedfin edge run` imports."""
    code = (
        "import sys, fedfin_edge.agent.admitted, fedfin_edge.tasks.task_process, fedfin.command_line.progress;"
        "print(sorted({'torch', 'onnxruntime', 'PIL', 'pydicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
