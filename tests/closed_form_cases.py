"""Made-up cases with known structure, and their way to the aggregator's solution, by hand."""

import numpy as np
import torch

from fedfin.codec import compress, decompress
from fedfin.fusion.model import FusionModel
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import CLIP, task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin_aggregator.closed_form.groups import by_group, grouped
from fedfin_aggregator.closed_form.solve import solve
from fedfin_aggregator.fold.fold import Fold
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task

DIMS = {"image": 6, "text": 4}
CAUSES = 3  # hidden variables that features and labels come from


def make_plan(dims=DIMS, *, labels=2, rounds=2, head_width=0, scale="feature", **model) -> Plan:
    """Closed forms and experts only, unless told otherwise."""
    shape = {"fin": "gaussian", "answer": "experts", "basis_total": 0, "head_width": head_width} | model
    return Plan(
        federation="ward",
        labels=tuple(f"label-{i}" for i in range(labels)),
        modalities=tuple(Modality(name=m, encoder="0" * 64, dim=dim, scale=scale) for m, dim in dims.items()),
        model=Model(**shape),
        rounds=Rounds(count=rounds, sites=3, min_sites=1, deadline_s=60.0),
    )


def draw(plan, count, seed, *, has=None, noise=0.5, known=1.0) -> Dataset:
    """Cases whose features and labels come from common causes. has: the modalities of every case (None: all).

    known: share of the labels that are. Features are standardised as they come: of mean 0 and within the clip.
    """
    world, rng = np.random.default_rng(7), np.random.default_rng([seed, 1])
    causes = rng.normal(size=(count, CAUSES))
    features, present = {}, {}
    for modality, dim in plan.dims.items():
        mixed = world.normal(size=(CAUSES, dim)) / CAUSES**0.5
        there = np.full(count, has is None or modality in has)
        values = (causes @ mixed + noise * rng.normal(size=(count, dim))).clip(-CLIP, CLIP)
        present[modality] = there
        features[modality] = np.where(there[:, None], values, 0.0).astype(np.float32)
    odds = 2.0 * causes @ world.normal(size=(CAUSES, len(plan.labels)))
    labels = (odds + rng.logistic(size=odds.shape) > 0).astype(np.float32)
    labels[rng.random(labels.shape) >= known] = np.nan
    return Dataset(features, present, labels, np.zeros(count, np.bool_))


def some_hidden(dataset: Dataset, seed: int) -> Dataset:
    """Of every case a random part of its modalities, at least one."""
    rng, names = np.random.default_rng(seed), list(dataset.present)
    shown = rng.random((len(dataset), len(names))) < 0.6
    shown[np.arange(len(dataset)), rng.integers(len(names), size=len(dataset))] = True
    present = {m: dataset.present[m] & shown[:, i] for i, m in enumerate(names)}
    features = {m: dataset.features[m] * present[m][:, None] for m in names}
    return Dataset(features, present, dataset.labels, dataset.held_out)


def join(datasets) -> Dataset:
    """All cases as one site's."""
    return Dataset(
        {m: np.concatenate([d.features[m] for d in datasets]) for m in datasets[0].features},
        {m: np.concatenate([d.present[m] for d in datasets]) for m in datasets[0].present},
        np.concatenate([d.labels for d in datasets]),
        np.concatenate([d.held_out for d in datasets]),
    )


def second_moments(plan, dataset, site="s0", model=None):
    """(values, weights) of a site's update, as the aggregator reads them off the wire."""
    model = initial_model(plan) if model is None else model
    quiet = {"progress": lambda _: None, "stop": lambda: False}
    result = run_task(plan, "second_moments", 2, model, dataset, site, **quiet)
    shapes = task_specs(plan, "second_moments")
    return decompress(compress(result.deltas, shapes, "exact").body, shapes), result.weights


def folded(plan, sites) -> Fold:
    """The aggregator's sums. sites: id -> its cases."""
    fold = Fold()
    for site, dataset in sites.items():
        values, weights = second_moments(plan, dataset, site)
        fold.add(grouped(values, site), grouped(weights, site))
    return fold


def solved(plan, sites):
    """Every tensor that is solved, float64."""
    return solve(plan, by_group(folded(plan, sites).sums))


def fusion_model(plan, tensors) -> FusionModel:
    """The plan's model with what was solved in its place."""
    model = FusionModel(plan)
    model.load_tensors(initial_model(plan) | {n: t.astype(np.float32) for n, t in tensors.items()})
    return model.eval()


def answers(model: FusionModel, dataset: Dataset, shown=None):
    """(logits [n, labels], standardised estimates, the variance left of each) with only `shown` to be seen."""
    present = {m: p & (shown is None or m in shown) for m, p in dataset.present.items()}
    with torch.inference_mode():
        logits, imputed = model(
            {m: torch.from_numpy(v) for m, v in dataset.features.items()},
            {m: torch.from_numpy(p) for m, p in present.items()},
        )
    return (
        logits.numpy(),
        {m: v.numpy() for m, v in imputed.mean.items()},
        {m: v.numpy() for m, v in imputed.spread.items()},
    )


def auc(scores, labels) -> float:
    """Of one label."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    return float((positive[:, None] > negative[None, :]).mean())
