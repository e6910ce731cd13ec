"""A round's task, by its name. Plan and site seed every draw: the same input gives the same bytes on the same machine.

torch is imported when a task needs it, and not before: a site that waits for a round does without.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedfin.codec import Tensors
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.rare_values import without_rare_values
from fedfin_edge.tasks.answer_counts import count_answers
from fedfin_edge.tasks.moments import pool_moments
from fedfin_edge.tasks.pooled_modalities import with_pooled_modalities
from fedfin_edge.tasks.task import Control, TaskResult

if TYPE_CHECKING:
    from fedfin.fusion.model import FusionModel

    Noised = Callable[[FusionModel, Plan, Dataset], Tensors]


def run_task(
    plan: Plan,
    task: Task,
    round_number: int,
    model: Tensors,
    dataset: Dataset,
    site: str,
    *,
    progress: Callable[[float], None],
    stop: Callable[[], bool],
    secret: bytes = b"",
) -> TaskResult:
    """Do a round's task on the site's cases.

    `progress` is given the share done, 0 to 1; `stop` is asked between batches. `secret`: the site's, in what training
    draws. Raises TaskStoppedError.
    """
    import torch

    torch.set_num_threads(1)  # two threads on two contended cores took 75 times as long
    if plan.privacy.least_sites_per_block and task != "moments":
        dataset = with_pooled_modalities(plan, model, dataset)
        if not len(dataset):  # of what the site has nothing was pooled
            return TaskResult({}, {}, {"cases": 0.0})
    if plan.privacy.summed and not plan.privacy.noised:
        dataset = without_rare_values(dataset)
    if task == "train" and not plan.privacy.noised:
        from fedfin_edge.tasks.train import train

        return train(plan, round_number, model, dataset, site, Control(progress, stop), secret)
    result = (_noised if plan.privacy.noised else _plain)(task, model, plan, dataset)
    progress(1.0)
    return result


def _plain(task: Task, model: Tensors, plan: Plan, dataset: Dataset) -> TaskResult:
    """As the cases are."""
    from fedfin.fusion.model import load_model
    from fedfin_edge.tasks.calibrate import measure_scores
    from fedfin_edge.tasks.evaluate import evaluate
    from fedfin_edge.tasks.label_check import contradiction
    from fedfin_edge.tasks.second_moments import pool_second_moments

    contradicts = None
    if task == "moments":
        tensors, weights = pool_moments(dataset)
        counts, sites = count_answers(plan, dataset)
        tensors, weights = tensors | counts, weights | sites
    elif task == "second_moments":
        tensors, weights = pool_second_moments(load_model(plan, model), plan, dataset)
    elif task == "calibrate":
        tensors, weights = measure_scores(load_model(plan, model), plan, dataset)
    else:
        tensors, weights = evaluate(load_model(plan, model), plan, dataset)
        contradicts = contradiction(load_model(plan, model), plan, dataset)
    return TaskResult(tensors, weights, {"cases": float(len(dataset))}, contradicts)


def _noised(task: Task, model: Tensors, plan: Plan, dataset: Dataset) -> TaskResult:
    """Each patient clipped, with the site's share of the noise."""
    from fedfin.fusion.model import load_model
    from fedfin_edge.tasks.noised_sums import noised_histograms, noised_scores, noised_second_moments
    from fedfin_edge.tasks.noised_training import noised_gradients

    tasks: dict[Task, Noised] = {
        "second_moments": noised_second_moments,
        "train": noised_gradients,
        "calibrate": noised_scores,
        "evaluate": noised_histograms,
    }
    noised = tasks[task](load_model(plan, model), plan, dataset)
    return TaskResult(noised, dict.fromkeys(noised, 1), {})
