"""What a site does in a round, and a step of the paper's federation, which trains its encoders."""

from typing import Any

from benchmarks.costs.compute.materials import Materials
from benchmarks.costs.compute.subject import Subject
from fedfin.model.model_spec import Task
from fedfin.plan_sections import Model

TRAINED_CASES = 96  # of a site that trains
TRAINED_BATCH = 4  # of encoders that train: memory


def site_task(task: Task, materials: Materials, threads: int) -> Subject:
    """A site's part in one round, on kept features; one thread, as at a site."""
    import torch

    from benchmarks.costs.multiply_adds import multiply_adds
    from benchmarks.costs.wire.site import drawn_cases
    from fedfin.model.initial_model import initial_model
    from fedfin_edge.tasks.run_task import run_task

    del threads
    torch.set_num_threads(1)
    plan = materials.plan(Model(basis_total=0))
    model, cases = initial_model(plan), drawn_cases(plan, 0)
    number = {"moments": 1, "second_moments": 2}.get(task, 3)

    def run() -> Any:
        return run_task(
            plan,
            task,
            number,
            model,
            cases,
            "site",
            progress=lambda _: None,
            stop=lambda: False,
        )

    held = sum(value.size for value in model.values())
    return Subject(run, multiply_adds(run), held)


def train_encoders(_: Materials, threads: int) -> Subject:
    """Forward, backward and a plain step of the paper's federation, on so many cases."""
    import torch

    from benchmarks.costs.baselines.paper_federation import PIXELS, PaperModel
    from benchmarks.costs.baselines.paper_federation import WORDS as PAPER_WORDS
    from benchmarks.costs.multiply_adds import multiply_adds, parameters

    torch.set_num_threads(threads)
    model = PaperModel().train()
    images = torch.randn(TRAINED_BATCH, 3, PIXELS, PIXELS)
    words = torch.randint(1000, 30_000, (TRAINED_BATCH, PAPER_WORDS))

    def step() -> None:
        torch.autograd.backward(model(images, words).square().mean())
        with torch.no_grad():
            for value in model.parameters():
                if value.grad is not None:
                    value.sub_(value.grad, alpha=1e-4)
                    value.grad = None

    return Subject(step, multiply_adds(step), parameters(model))
