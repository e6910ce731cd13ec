"""AdamW (arXiv 1711.05101).

`torch.optim` has it too, but loads torch's compiler with it: 70 MB and 2.7 s at a small site.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class AdamW:
    """One optimiser for all parameters; a parameter without a gradient is left as it is."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._rate, self._decay = learning_rate, weight_decay
        self._first = [torch.zeros_like(value) for value in self._parameters]
        self._second = [torch.zeros_like(value) for value in self._parameters]
        self._steps = [0] * len(self._parameters)

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its gradient, then forget the gradient."""
        for place, value in enumerate(self._parameters):
            if value.grad is not None:
                self._move(place, value, value.grad)
                value.grad = None

    def _move(self, place: int, value: Tensor, gradient: Tensor) -> None:
        self._steps[place] += 1
        step, first, second = self._steps[place], self._first[place], self._second[place]
        first.lerp_(gradient, 1 - BETA1)
        second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        scale = (second / (1 - BETA2**step)).sqrt_().add_(EPSILON)
        value.mul_(1 - self._rate * self._decay)
        value.addcdiv_(first, scale, value=-self._rate / (1 - BETA1**step))
