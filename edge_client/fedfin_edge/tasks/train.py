"""Training: some epochs over a site's cases, from the global model to what they change of it.

The file to read first is `_epochs`: it is the whole training loop.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedfin.codec import PRESETS, Tensors
from fedfin.fusion.adamw import AdamW
from fedfin.fusion.loss import fin_loss, label_loss, squared_errors
from fedfin.fusion.masking import Masks, draw_masks
from fedfin.fusion.modality import by_modality
from fedfin.fusion.model import FusionModel, load_model, missing
from fedfin.model.model_spec import tensor_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Training
from fedfin.protocol.schedule import preset_up
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.held_out_loss import held_out_loss
from fedfin_edge.tasks.measured_spread import MeasuredSpread
from fedfin_edge.tasks.task import Control, TaskResult
from fedfin_edge.tasks.tensor_weights import TensorWeights


def train(
    plan: Plan,
    round_number: int,
    before: Tensors,
    dataset: Dataset,
    site: str,
    control: Control,
    secret: bytes = b"",
) -> TaskResult:
    """Train on the site's cases from the model `before`; what was added to each tensor that a case trained.

    The round's preset may ask for another learning rate. Raises TaskStoppedError.
    """
    generator = draws_of(plan, round_number, site, secret)
    model = load_model(plan, before)
    held_out = held_out_loss(model, plan, dataset) if plan.rounds.stops_after else {}
    cases = _training_cases(plan, model, dataset)
    counted = TensorWeights(cases.present, cases.labels)
    losses, spread, seen = [], MeasuredSpread(), 0
    for share, step in _epochs(plan, _recipe(plan, round_number), model, cases, generator):
        counted.add(step.rows, step.masks)
        seen += len(step.rows)
        if seen <= len(cases.labels):  # later epochs know these cases by heart
            spread.add(step.errors, by_modality(plan.dims, step.masks.asked))
        losses.append((step.label_loss, step.fin_loss))
        control.tick(share)
    after = model.dump_tensors() | spread.tensors()
    floor = dataset.floor.of(trains_head(plan, dataset)) if plan.privacy.summed else None
    by_block = bool(plan.privacy.least_sites_per_block)
    weights = counted.weights(tensor_specs(plan), list(plan.dims), floor, by_block=by_block)
    deltas = {name: after[name] - before[name] for name in weights}
    mean = np.mean(losses, axis=0) if losses else np.zeros(2)
    metrics = {"cases": float(len(cases.labels)), "label_loss": float(mean[0]), "fin_loss": float(mean[1])}
    return TaskResult(deltas, weights, metrics | held_out)


@dataclass(frozen=True)
class _Cases:
    """Training cases in torch: standardised features, presence [n, modalities], labels [n, labels]."""

    standard: dict[str, Tensor]
    present: Tensor
    labels: Tensor

    def rows(self, chosen: Tensor) -> "_Cases":
        features = {modality: values[chosen] for modality, values in self.standard.items()}
        return _Cases(features, self.present[chosen], self.labels[chosen])


@dataclass(frozen=True)
class _Step:
    """One batch: which cases, what they were shown, what it cost; FIN's squared errors by modality [n, dim]."""

    rows: Tensor
    masks: Masks
    label_loss: float
    fin_loss: float
    errors: dict[str, Tensor]


def _epochs(
    plan: Plan, recipe: Training, model: FusionModel, cases: _Cases, generator: torch.Generator
) -> Iterator[tuple[float, _Step]]:
    """Train in place; yields the share done and what each step was."""
    optimizer = AdamW(list(model.trainable().values()), recipe.learning_rate, recipe.weight_decay)
    n, done = len(cases.labels), 0
    epochs = recipe.epochs_of(n) if n else 0
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(n, generator=generator), recipe.batch_size):
            batch = cases.rows(rows)
            masks = draw_masks(batch.present, recipe.modality_dropout, generator)
            to_fin, asked, to_head = (
                by_modality(plan.dims, mask) for mask in (masks.to_fin, masks.asked, masks.to_head)
            )
            seen = {m: values * to_fin[m].unsqueeze(1) for m, values in batch.standard.items()}
            with torch.set_grad_enabled(bool(masks.asked.any())):
                imputed = model.impute(seen, to_fin)
            logits = model.head(batch.standard, to_head, model.gated(imputed), missing(to_head))
            of_labels = label_loss(logits, batch.labels)
            of_fin = fin_loss(imputed.mean, batch.standard, asked)
            torch.autograd.backward(of_labels + recipe.fin_loss_weight * of_fin)
            optimizer.step()
            done += len(rows)
            errors = squared_errors(imputed.mean, batch.standard)
            yield done / (n * epochs), _Step(rows, masks, of_labels.item(), of_fin.item(), errors)


def _training_cases(plan: Plan, model: FusionModel, dataset: Dataset) -> _Cases:
    train = trains_head(plan, dataset)
    features = {modality: torch.from_numpy(dataset.features[modality][train]) for modality in plan.dims}
    present = {modality: torch.from_numpy(dataset.present[modality][train]) for modality in plan.dims}
    standard = model.standardise(features, present)
    labels = torch.from_numpy(dataset.labels[train])
    return _Cases(standard, torch.stack(list(present.values()), dim=1), labels)


def trains_head(plan: Plan, dataset: Dataset) -> NDArray[np.bool_]:
    """The cases that the head learns from, bool [n]: not those that it is calibrated on, or held against."""
    train = ~dataset.held_out
    validated = plan.model.answer == "both" or plan.rounds.stops_after > 0
    return train & ~dataset.calibration_held_out if validated else train


def draws_of(plan: Plan, round_number: int, site: str, secret: bytes = b"") -> torch.Generator:
    """What a site draws from in a round of training.

    secret: its own, in secure sums. Who knew what each case was shown, round by round, could solve for single cases.
    """
    digest = hashlib.sha256(f"{plan.seed}/{round_number}/{site}".encode() + secret).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _recipe(plan: Plan, round_number: int) -> Training:
    """The plan's, at the learning rate that the round's preset asks for."""
    factor = PRESETS[preset_up(plan, round_number)].learning_rate_factor
    return msgspec.structs.replace(plan.training, learning_rate=factor * plan.training.learning_rate)
