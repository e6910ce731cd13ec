"""Logistic regression on all sites' cases, its penalty chosen on inner folds of them.

The loss is a sum over cases, so that sites which add up their gradients get the same weights, one exchange for each
evaluation of L-BFGS (full batch, strong Wolfe line search). It ends when it has converged.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.study.method import Floats
from benchmarks.study.methods.training_rows import FOLDS

# Half of each is what a unit of squared weight costs, beside one case's loss; weights are of standardised features.
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)
OF_CONSTANT = 0.01  # so that a label without positives has a finite one
STEPS = 200  # at most
FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Logistic:
    """weights: [1 + D, L], the constant first. sent: bytes that a site sends, and gets, for all fits together."""

    weights: Floats
    penalty: float
    sent: float

    def logits(self, features: Floats) -> Floats:
        """[n, D] to [n, L]."""
        logits: Floats = features @ self.weights[1:] + self.weights[0]
        return logits


def fit(features: Floats, labels: Floats, fold: NDArray[np.int64]) -> Logistic:
    """To features [n, D] and labels [n, L], NaN where unknown, with the penalty of the least loss on other folds."""
    torch.set_num_threads(1)
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    losses, evaluations = np.zeros(len(PENALTIES)), 0
    for one in range(FOLDS):
        learn, judge = torch.from_numpy(fold != one), torch.from_numpy(fold == one)
        if learn.any() and judge.any():
            found, steps = _path(x[learn], y[learn])
            losses += [float(_loss(weights, x[judge], y[judge])) for weights in found]
            evaluations += steps
    penalty = PENALTIES[int(losses.argmin())]
    weights, steps = _minimum(_constants(x.shape[1], y), x, y, penalty)
    return Logistic(weights.numpy(), penalty, float(FLOAT32 * (evaluations + steps) * weights.numel()))


def _path(x: Tensor, y: Tensor) -> tuple[list[Tensor], int]:
    """Weights by penalty, each from where those of the next greater one ended; how often gradients were added up."""
    weights, found, evaluations = _constants(x.shape[1], y), list[Tensor](), 0
    for penalty in reversed(PENALTIES):
        weights, steps = _minimum(weights, x, y, penalty)
        found.insert(0, weights)
        evaluations += steps
    return found, evaluations


def _constants(dim: int, y: Tensor) -> Tensor:
    """Weights that know each label's share alone."""
    known = ~torch.isnan(y)
    share = (torch.nan_to_num(y).sum(dim=0) + 1) / (known.sum(dim=0) + 2)
    return torch.cat([torch.logit(share)[None], torch.zeros(dim, y.shape[1])])


def _minimum(start: Tensor, x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, int]:
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")
    evaluations = 0

    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        squares = penalty * weights[1:].square().sum() + OF_CONSTANT * weights[0].square().sum()
        loss = (_loss(weights, x, y) + squares / 2) / len(x)
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach(), evaluations


def _loss(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Summed over known labels."""
    logits, known = x @ weights[1:] + weights[0], ~torch.isnan(y)
    return binary_cross_entropy_with_logits(logits[known], y[known], reduction="sum")
