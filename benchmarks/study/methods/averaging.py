"""Federated averaging of a torch module that is not the plan's: for rivals that train something of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedfin.fusion.adamw import AdamW

FLOAT32 = 4  # bytes
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Recipe:
    """Of every round: times over a site's cases, cases in a step, and AdamW's two rates."""

    rounds: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float


def average(
    module: nn.Module,
    sites: Mapping[str, Sequence[Tensor]],
    loss: Callable[[nn.Module, Batch], Tensor],
    recipe: Recipe,
    seed: int,
    progress: Callable[[float], None],
) -> float:
    """Train the module in place; sites: their tensors, of n rows each. Returns the bytes that a site sent, and got.

    Every round each site starts from the mean of all, weighted by their cases (McMahan et al., arXiv 1602.05629).
    """
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    shared = {name: value.detach().clone() for name, value in module.state_dict().items()}
    cases = {name: len(tensors[0]) for name, tensors in sites.items()}
    for number in range(recipe.rounds):
        total = {name: torch.zeros_like(value) for name, value in shared.items()}
        for name, tensors in sites.items():
            module.load_state_dict(shared)
            _train(module, tensors, loss, recipe, generator)
            share = cases[name] / sum(cases.values())
            for key, value in module.state_dict().items():
                total[key] += share * value
        shared = total
        progress((number + 1) / recipe.rounds)
    module.load_state_dict(shared)
    return float(FLOAT32 * recipe.rounds * sum(value.numel() for value in shared.values()))


def _train(
    module: nn.Module,
    tensors: Sequence[Tensor],
    loss: Callable[[nn.Module, Batch], Tensor],
    recipe: Recipe,
    generator: torch.Generator,
) -> None:
    optimizer = AdamW(list(module.parameters()), recipe.learning_rate, recipe.weight_decay)
    for _ in range(recipe.epochs):
        for rows in torch.split(torch.randperm(len(tensors[0]), generator=generator), recipe.batch_size):
            torch.autograd.backward(loss(module, tuple(tensor[rows] for tensor in tensors)))
            optimizer.step()
