"""The gradient of each case's loss by itself, of one backward pass for all: what clipping by patient needs.

A linear layer's gradient is the outer product of what went in and what comes back to its output, case by case
(Goodfellow, arXiv 1510.01799). `torch.func.vmap` gives the same, but loads torch's compiler: 90 MB and a second at a
small site; a pass for each case took 300 times as long.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_Call = tuple[str, Tensor, Tensor]  # of which layer, what went in [n, inputs], what came out [n, outputs]


def case_gradients(module: nn.Module, losses: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Of the linear layers that `losses` runs, by torch name: of a weight [n, outputs, inputs], of a bias [n, outputs].

    losses: runs the module on n cases and returns the loss of each, [n].
    """
    with _noting(module) as calls:
        total = losses().sum()
    back = torch.autograd.grad(total, [output for _, _, output in calls])
    gradients: dict[str, Tensor] = {}
    for (name, given, _), returned in zip(calls, back, strict=True):
        parts = {"weight": torch.einsum("no,ni->noi", returned, given), "bias": returned}
        for part, values in parts.items():
            there = gradients.get(f"{name}.{part}")  # shared columns are run twice
            gradients[f"{name}.{part}"] = values if there is None else there + values
    return gradients


@contextmanager
def _noting(module: nn.Module) -> Iterator[list[_Call]]:
    """Every call of its linear layers meanwhile."""
    calls: list[_Call] = []

    def note(name: str) -> Callable[..., None]:
        def hook(_layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            calls.append((name, inputs[0].detach(), output))

        return hook

    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
