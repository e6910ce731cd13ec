"""One real site agent whose training and cases are stand-ins: its updates are ready before the round asks.

    python -m benchmarks.transport.stand_in_site FOLDER NUMBER

Everything else is what `fedfin edge run` does: machine, transfer, link, outbox and models on disk.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.transport.stand_in_values import possible
from fedfin.codec import Tensors
from fedfin.command_line.progress import JsonLines
from fedfin.lock import only_process
from fedfin.model.model_spec import Task, task_specs
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.task import TaskResult

CASES = 16  # more than the floor of a site (policy.least_patients)


class Ready:
    """Draws each task's values once, so that a round's time holds no drawing."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._drawn: dict[Task, TaskResult] = {}

    def run_task(
        self, plan: Plan, task: Task, _: int, __: Tensors, ___: Any, ____: str, **_____: Any
    ) -> TaskResult:
        """Deltas around 0.01 for training, else what cases can give."""
        if task not in self._drawn:
            random, shapes = np.random.default_rng([plan.seed, self._number]), task_specs(plan, task)
            if task == "train":
                values = {
                    n: random.standard_normal(s, np.float32) * np.float32(0.01) for n, s in shapes.items()
                }
            else:
                values = possible(task, shapes, random)
            self._drawn[task] = TaskResult(values, dict.fromkeys(values, CASES), {"cases": float(CASES)})
        return self._drawn[task]


def _replace_tasks(number: int) -> None:
    """In place of the module that imports torch."""
    stand_in = ModuleType("fedfin_edge.tasks.run_task")
    vars(stand_in)["run_task"] = Ready(number).run_task
    sys.modules[stand_in.__name__] = stand_in


def _cases(plan: Plan) -> Dataset:
    """So many that lack every modality."""
    return Dataset(
        {name: np.zeros((CASES, dim), np.float32) for name, dim in plan.dims.items()},
        {name: np.zeros(CASES, np.bool_) for name in plan.dims},
        np.zeros((CASES, len(plan.labels)), np.float32),
        np.zeros(CASES, np.bool_),
    )


def main() -> None:
    """Take part until the federation is finished."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    _replace_tasks(number)
    take_part(folder, _cases)


def take_part(folder: Path, cases: Callable[[Plan], Dataset]) -> None:
    """As the site of this folder, with these cases, until the federation is finished."""
    from fedfin.trust.accepted import has_accepted
    from fedfin_edge.agent import agent, participation
    from fedfin_edge.agent.admitted import admitted_agent
    from fedfin_edge.site import open_site

    vars(participation)["load_dataset"] = lambda _, plan: cases(plan)
    site = open_site(folder)
    with only_process(site.folder, "fedfin edge run"), JsonLines(sys.stdout) as report:
        make_agent = admitted_agent if has_accepted(site.trust_path) else agent.Agent
        make_agent(site, report).run()


if __name__ == "__main__":
    main()
